"""The ends of runs to the ledger, those of one moment together.

Place:  runner.service -> [runner.reporting] -> runner.exchange
Rule:   a run that was told once is never told otherwise; who waits to tell is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Finish, Finished
from mergepoint.tasks.runner.exchange import Exchange
from mergepoint.tasks.runner.log import Log

TOGETHER_MAX = 200
"""Ends of runs in one call."""
LOST_PAUSE_S = 0.2
UNTOLD_MAX = 1_000
"""Ends that wait for the ledger; while there are more nothing is taken."""
REPORT_S = 120.0
"""How long the end of a run is offered to a ledger that does not answer."""


class Reporter:
    """Tells the ledger; `leases` are those held by task, shared with who extends them."""

    def __init__(
        self, exchange: Exchange, clock: Clock, log: Log, leases: dict[str, Lease]
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._log = log
        self._leases = leases
        self._caught_up = asyncio.Event()
        self._waiting: list[tuple[Finish, asyncio.Future[None]]] = []
        self._telling: asyncio.Task[None] | None = None

    async def report(self, finishes: Sequence[Finish]) -> None:
        """Return when the ledger has settled these, or was not to be had for `REPORT_S`."""
        told = [asyncio.get_running_loop().create_future() for _ in finishes]
        self._waiting += zip(finishes, told, strict=True)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())
        await asyncio.gather(*told)

    async def caught_up(self) -> None:
        """Return when fewer than `UNTOLD_MAX` ends wait for the ledger."""
        while len(self._waiting) >= UNTOLD_MAX:
            self._caught_up.clear()
            await self._caught_up.wait()

    def let_go(self, task: str, token: str) -> None:
        """Extend this lease no more; one that the task was given since stays."""
        lease = self._leases.get(task)
        if lease is not None and lease.token == token:
            del self._leases[task]

    async def _tell(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            self._caught_up.set()
            made = await self._settled([finish for finish, _ in batch])
            for settled in made.settled:
                if settled.lost:
                    self._log.write("result refused: the task is somebody else's", task=settled.id)
            for finish, told in batch:
                self.let_go(finish.id, finish.token)
                if not told.done():
                    told.set_result(None)

    async def _settled(self, finishes: Sequence[Finish]) -> Finished:
        end = self._clock.monotonic_s() + REPORT_S
        held = [self._leases.get(finish.id) for finish in finishes]
        leases = [lease for lease in held if lease is not None]
        while True:
            try:
                return await self._exchange.settle(finishes, leases)
            except BusError as error:
                if self._clock.monotonic_s() > end:
                    self._log.write("not reported", error=str(error), tasks=len(finishes))
                    return Finished(settled=())
                await self._clock.sleep(LOST_PAUSE_S)
