"""Placeholder line, replaced by the owner of this room."""
