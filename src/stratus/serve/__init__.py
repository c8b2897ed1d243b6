"""Serving: Alertmanager webhooks in, incidents worked on one after the other, reports and metrics out."""
