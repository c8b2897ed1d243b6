"""Incident capsules: what was seen, thought and done in an incident, in one signed file that can be replayed."""
