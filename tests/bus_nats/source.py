"""Connections to a NATS server, each promise under a prefix of its own."""

from __future__ import annotations

import asyncio
import json
import uuid

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.nats import NatsServer
from nats.aio.client import Client

from mergepoint.bus.adapters.nats import NatsEngine
from mergepoint.bus.contract import Engine, Limits


class NatsSource(EngineSource):
    """Engines of one site on a real server."""

    can_kill = True
    has_proxy = True

    def __init__(self, server: NatsServer) -> None:
        super().__init__()
        self.server = server
        self.prefix = "p" + uuid.uuid4().hex[:10]
        self.limits = Limits(lease_s=3.0, heartbeat_s=0.5, message_bytes_max=256 * 1024)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        """Return one more connection."""
        return self.make_engine_at(self.broker_address(), limits, address)

    def broker_address(self) -> str:
        """Return where the server listens."""
        return f"127.0.0.1:{self.server.port}"

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        """Return an engine that talks to this place."""
        url = f"nats://{broker_address}?prefix={self.prefix}"
        return NatsEngine(url, limits, self.clock, address=address)

    async def kill(self, engine: Engine) -> None:
        """Cut its connection and let it do nothing more."""
        assert isinstance(engine, NatsEngine)
        engine.vanish()
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Remove every stream of this prefix."""
        client = Client()
        await client.connect(self.server.url())
        answer = await client.request("$JS.API.STREAM.NAMES", b"", timeout=10)
        for name in json.loads(answer.data)["streams"] or []:
            if name.startswith(self.prefix):
                await client.request(f"$JS.API.STREAM.DELETE.{name}", b"", timeout=10)
        await client.close()
