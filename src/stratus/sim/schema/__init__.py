"""Kubernetes types as data: one table drives decoding, strategic merge, field ownership and OpenAPI."""
