"""Measuring: faults injected into the embedded cluster, worked on end to end, and scored from outside the agent."""
