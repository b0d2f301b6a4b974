"""The hub, through a proxy that cuts, silences and slows: short here, all of it in `make soak`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from mergepoint_testkit.bus import EngineSource, Promise, keep, promises
from mergepoint_testkit.bus.outages import brief_outages

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Engine, Limits

from .hub_site import Hub


class HubSource(EngineSource):
    """A hub of one promise's own, and a proxy before its socket."""

    has_proxy = True

    async def start(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._hub = Hub(Path(self._directory.name), self.limits)
        self._hub.start()

    async def stop(self) -> None:
        self._hub.kill()
        self._directory.cleanup()

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return self.make_engine_at(self._hub.socket, limits, address)

    def broker_address(self) -> str:
        return self._hub.socket

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        return HubEngine(f"hub+unix://{broker_address}", limits, self.clock, address=address)


@pytest.mark.parametrize("promise", brief_outages(), ids=str)
def test_the_hub_survives(promise: Promise) -> None:
    keep(promise, HubSource())


@pytest.mark.soak
@pytest.mark.parametrize("promise", promises("outages"), ids=str)
def test_the_hub_survives_everything(promise: Promise) -> None:
    keep(promise, HubSource())
