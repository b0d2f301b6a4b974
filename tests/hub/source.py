"""How the suite reaches a hub, and how a process of it dies."""

from __future__ import annotations

from collections.abc import Callable

from mergepoint_testkit.bus import EngineSource

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Engine, Limits

from .hub_process import LIMITS, HubProcess


class HubSource(EngineSource):
    """Connections to a hub that has the limits of the promise."""

    can_kill = True

    def __init__(self, hubs: Callable[[Limits], HubProcess]) -> None:
        super().__init__()
        self.limits = LIMITS
        self._hubs = hubs

    async def start(self) -> None:
        self._hub = self._hubs(self.limits)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return self._hub.engine(limits, address)

    async def kill(self, engine: Engine) -> None:
        assert isinstance(engine, HubEngine)
        engine.vanish()
