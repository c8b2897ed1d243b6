"""The transaction room: every change to a cluster is journalled first, judged after, and kept or taken back exactly."""
