"""Ports to metrics, logs, traces and alerts, and their implementations."""
