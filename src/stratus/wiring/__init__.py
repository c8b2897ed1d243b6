"""Wiring: from settings to ports to a compiled graph; the one place that knows every implementation."""
