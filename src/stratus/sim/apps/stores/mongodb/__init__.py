"""MongoDB: users and roles, collections, and the shell scripts that look at them and change them."""

from __future__ import annotations

from stratus.sim.apps.stores.mongodb.state import Collection, Database, Operation, User

__all__ = ["Collection", "Database", "Operation", "User"]
