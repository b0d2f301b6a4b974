"""A site for runners under test: the hub of `MERGEPOINT_BUS`, reached as an app reaches it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.codec import Codec
from mergepoint.bus.context import extensions
from mergepoint.bus.contract import Limits
from mergepoint.bus.loop import LoopThread
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import Tasks
from mergepoint.tasks.ledger.hub import HubLedger


class HubHome:
    """`tasks.home.Home` over one connection, made when it is first needed."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.clock = SystemClock()
        self.codec = Codec("json", {}, self.clock)
        self.address = told["address"]
        self._limits = Limits(**told["limits"])
        self._url = told["url"]
        self._thread = LoopThread("test-home")
        self._engine: HubEngine | None = None

    async def engine(self) -> HubEngine:
        if self._engine is None:
            engine = HubEngine(self._url, self._limits, self.clock, address=self.address)
            await engine.open(lambda state, reason: None)
            self._engine = engine
        return self._engine

    async def ledger(self) -> HubLedger:
        return HubLedger(self._ask, is_queue=True)

    async def _ask(self, op: str, fields: Mapping[str, Any]) -> Any:
        link = (await self.engine()).link
        return (await link.call({"op": op, **fields}, repeat=True)).value

    def wait(self, work: Any) -> Any:
        return self._thread.wait(work)

    async def join(self, work: Any) -> Any:
        return await self._thread.join(work)

    def context(self) -> Mapping[str, str]:
        return extensions()

    def close(self) -> None:
        if self._engine is not None:
            engine, self._engine = self._engine, None
            self._thread.wait(engine.close)
        self._thread.close()


def from_environment() -> HubHome:
    return HubHome(json.loads(os.environ["MERGEPOINT_BUS"]))


def tasks_here() -> Tasks:
    return Tasks(from_environment(), app="test")
