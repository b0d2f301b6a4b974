"""The ends of runs to the ledger, those of one moment together.

Place:  runner.service -> [runner.reporting] -> Ledger.finish, Engine.ack
Rule:   ledger first, then what it released, then the messages: whoever dies in between leaves a
        message that the ledger refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from mergepoint.bus.contract import Engine, Lease
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Finish, Finished, Ledger
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.sending import put_releases

TOGETHER_MAX = 200
"""Ends of runs in one call."""
LOST_PAUSE_S = 0.2
REPORT_S = 120.0
"""How long the end of a run is offered to a ledger that does not answer."""


class Reporter:
    """Tells the ledger; `leases` are those held by task, shared with who extends them."""

    def __init__(
        self, engine: Engine, ledger: Ledger, clock: Clock, log: Log, address: str,
        leases: dict[str, Lease],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._address = address
        self._leases = leases
        self._waiting: list[tuple[Finish, asyncio.Future[None]]] = []
        self._telling: asyncio.Task[None] | None = None

    async def report(self, finishes: Sequence[Finish]) -> None:
        """Return when the ledger has settled these, or was not to be had for `REPORT_S`."""
        told = [asyncio.get_running_loop().create_future() for _ in finishes]
        self._waiting += zip(finishes, told, strict=True)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())
        await asyncio.gather(*told)

    async def dismiss(self, leases: Sequence[Lease]) -> None:
        """Let messages go; one that comes again is refused by the ledger."""
        if leases:
            with contextlib.suppress(BusError):
                await self._engine.ack(leases)
        for lease in leases:
            self._leases.pop(lease.message.id.partition(".")[0], None)

    async def _tell(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            made = await self._settled([finish for finish, _ in batch])
            for settled in made.settled:
                if settled.lost:
                    self._log.write("result refused: the task is somebody else's", task=settled.id)
            kept = [settled.id for settled in made.settled if not settled.lost]
            await self.dismiss([self._leases[task] for task in kept if task in self._leases])
            for _, told in batch:
                if not told.done():
                    told.set_result(None)

    async def _settled(self, finishes: Sequence[Finish]) -> Finished:
        end = self._clock.monotonic_s() + REPORT_S
        while True:
            try:
                made = await self._ledger.finish(finishes)
                now = self._clock.unix_s()
                await put_releases(self._engine, self._ledger, made.releases, self._address, now)
            except BusError as error:
                if self._clock.monotonic_s() > end:
                    self._log.write("not reported", error=str(error), tasks=len(finishes))
                    return Finished(settled=())
                await self._clock.sleep(LOST_PAUSE_S)
            else:
                return made
