"""Chaos Mesh objects that act while they exist: who is selected, what it does to them, and how it ends."""
