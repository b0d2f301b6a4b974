"""How the suite of the bus reaches a Redis.

Place:  tests/bus_redis -> [source] -> mergepoint.bus.adapters.redis
Rule:   a prefix for every promise, removed with everything under it.
"""

from __future__ import annotations

import uuid

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.redis import RedisServer
from redis.asyncio import Redis

from mergepoint.bus.adapters.redis import RedisEngine
from mergepoint.bus.contract import Engine, Limits


class RedisSource(EngineSource):
    """Connections to one server, under a prefix of their own."""

    can_kill = True

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:12]}:"
        self.limits = Limits(heartbeat_s=0.5)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        url = self.server.url(f"prefix={self.prefix}")
        return RedisEngine(url, limits, self.clock, address=address)

    async def stop(self) -> None:
        async with Redis(port=self.server.port) as client:
            async for key in client.scan_iter(match=f"{self.prefix}*", count=1000):
                await client.delete(key)

    async def kill(self, engine: Engine) -> None:
        """Close its sockets and let nothing of it run on."""
        assert isinstance(engine, RedisEngine)
        await vanish(engine)


async def vanish(engine: RedisEngine) -> None:
    """Be gone as a killed process is."""
    engine._requests.cut()
    await engine._link.cut()
