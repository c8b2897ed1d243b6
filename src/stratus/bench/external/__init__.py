"""Stratus in the harnesses of others: AIOpsLab, SREGym and ITBench, by the interfaces that those give an agent."""
