"""Mitigation: steps in words become kubectl commands, typed writes, and a linted plan; nothing here can write."""
