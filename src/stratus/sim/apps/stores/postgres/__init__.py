"""PostgreSQL: roles, databases, tables, sessions with locks, and as much of its SQL as people type into psql.

The engine is our own and small: state is plain data, so that it can be copied, compared and replayed, and types,
privileges, locks and error texts are PostgreSQL's. A general engine (SQLite) would keep state that cannot be compared
and has none of those; an SQL parser from elsewhere would be a large dependency for the smaller half of the work.
"""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.state import PostgresState

__all__ = ["PostgresState"]
