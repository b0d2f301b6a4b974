"""How the suite of the bus reaches a RabbitMQ.

Place:  tests/bus_rabbitmq -> [source] -> mergepoint.bus.adapters.rabbitmq
Rule:   a prefix for every promise; its queues are removed behind it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator

import aio_pika
from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.bus.acting import Watched, opened
from mergepoint_testkit.rabbitmq import RabbitServer

from mergepoint.bus.adapters.rabbitmq import RabbitmqEngine
from mergepoint.bus.contract import Engine, Limits
from mergepoint.core.clock import SystemClock


class RabbitmqSource(EngineSource):
    """Connections to one broker, under a prefix of their own."""

    can_kill = True
    has_proxy = True

    def __init__(self, server: RabbitServer) -> None:
        super().__init__()
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:12]}."
        self.limits = Limits(heartbeat_s=1.0)
        self._engines: list[RabbitmqEngine] = []

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return self.make_engine_at(self.broker_address(), limits, address)

    def broker_address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        url = f"amqp://guest:guest@{broker_address}/%2F?prefix={self.prefix}"
        engine = RabbitmqEngine(url, limits, self.clock, address=address)
        engine._queues.young_s = 0.0  # nobody kills the broker here, and every test has new queues
        self._engines.append(engine)
        return engine

    async def stop(self) -> None:
        names = {name for engine in self._engines for name in engine._queues.named}
        queues = self._engines[0]._queues
        async with await aio_pika.connect(self.server.url()) as connection:
            channel = await connection.channel()
            for name in names:
                await channel.queue_delete(queues.name(name))
                await channel.queue_delete(queues.dead_name(name))
            for exchange in ("topics", "presence"):
                await channel.exchange_delete(self.prefix + exchange)

    async def kill(self, engine: Engine) -> None:
        """Close its sockets and let nothing of it run on."""
        assert isinstance(engine, RabbitmqEngine)
        await vanish(engine)


async def vanish(engine: RabbitmqEngine) -> None:
    """Be gone as a killed process is: no goodbye on the wire."""
    engine._requests.cut()
    engine._queues.leases.forget()
    await engine._link.cut()


@contextlib.asynccontextmanager
async def connected(
    server: RabbitServer, *, young: bool = False, **limits: float
) -> AsyncIterator[Watched[RabbitmqEngine]]:
    """Open one more connection, and close it in the end.

    `young` queues are given their time: where the broker is killed, and nowhere else.
    """
    given = {"heartbeat_s": 1.0, **limits}
    engine = RabbitmqEngine(server.url(), Limits(**given), SystemClock())  # type: ignore[arg-type]
    if not young:
        engine._queues.young_s = 0.0
    async with opened(engine) as watched:
        yield watched


def queue_name() -> str:
    """Return a name that no other test uses."""
    return f"jobs-{uuid.uuid4().hex[:8]}"
