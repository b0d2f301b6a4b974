"""How the suite of the bus reaches a Redis.

Place:  tests/bus_redis -> [source] -> mergepoint.bus.adapters.redis
Rule:   a prefix for every promise, removed with everything under it.
"""

from __future__ import annotations

import contextlib
import uuid

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.bus.acting import Watched, opened
from mergepoint_testkit.redis import RedisServer
from redis.asyncio import Redis

from mergepoint.bus.adapters.redis import RedisEngine
from mergepoint.bus.contract import Engine, Limits
from mergepoint.core.clock import SystemClock


class RedisSource(EngineSource):
    """Connections to one server, under a prefix of their own."""

    can_kill = True
    has_proxy = True

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:12]}:"
        self.limits = Limits(heartbeat_s=0.5)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return self.make_engine_at(self.broker_address(), limits, address)

    def broker_address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        url = f"redis://{broker_address}/0?prefix={self.prefix}"
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


def connected(
    server: RedisServer, **limits: float
) -> contextlib.AbstractAsyncContextManager[Watched[RedisEngine]]:
    """Open one more connection to this server, and close it in the end."""
    given = {"heartbeat_s": 0.5, **limits}
    return opened(RedisEngine(server.url(), Limits(**given), SystemClock()))  # type: ignore[arg-type]
