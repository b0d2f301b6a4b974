"""Processes of one site on a Prosody, each promise with pubsub nodes of its own."""

from __future__ import annotations

import uuid

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.prosody import ProsodyServer

from mergepoint.bus.adapters.xmpp import XmppEngine
from mergepoint.bus.contract import Engine, Limits


class XmppSource(EngineSource):
    """Engines of one account on a real server."""

    can_kill = True
    has_proxy = True
    flood_messages = 200

    def __init__(self, server: ProsodyServer) -> None:
        super().__init__()
        self.server = server
        self.prefix = "p" + uuid.uuid4().hex[:10]

    def make_engine(self, limits: Limits, address: str) -> Engine:
        """Return one more connection."""
        return self.make_engine_at(self.broker_address(), limits, address)

    def broker_address(self) -> str:
        """Return where the server listens."""
        return f"127.0.0.1:{self.server.port}"

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        """Return an engine that talks to this place."""
        direct = self.server.url(f"prefix={self.prefix}")
        url = direct.replace(self.broker_address(), broker_address)
        return XmppEngine(url, limits, self.clock, address=address)

    async def kill(self, engine: Engine) -> None:
        """Cut its connection and let it do nothing more."""
        assert isinstance(engine, XmppEngine)
        engine.vanish()
