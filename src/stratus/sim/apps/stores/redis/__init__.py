"""Redis and Valkey: keys, configuration, users, and the commands that reach them."""

from __future__ import annotations

from stratus.sim.apps.stores.redis.state import Entry, RedisState, RedisUser, Valkey

__all__ = ["Entry", "RedisState", "RedisUser", "Valkey"]
