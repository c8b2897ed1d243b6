"""Deterministic detectors: each looks at one side of an observation and names what is not as it should be."""
