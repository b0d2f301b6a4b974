"""The engine Redis and Valkey: everything the bus can do, one atomic script for each verb."""

from mergepoint.bus.adapters.redis.engine import RedisEngine

__all__ = ["RedisEngine"]
