"""Servers that keep state behind an application: what they hold, and the commands that look at it and change it."""
