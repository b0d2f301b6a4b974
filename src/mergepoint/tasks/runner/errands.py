"""What a runner does beside its jobs: registration, releases, outboxes' mail, schedules.

Place:  runner.service -> [runner.errands] -> Ledger, Engine, tasks.scheduler
Rule:   every runner may do all of it at once; the ledger lets each thing happen once.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.bus.contract import Engine
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.tasks.announcing import Announcement, announce, declared_by
from mergepoint.tasks.contract import Ledger
from mergepoint.tasks.ledger.documents import from_plain
from mergepoint.tasks.messages import INBOX
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.named import schedules_of
from mergepoint.tasks.scheduler import Scheduler
from mergepoint.tasks.sending import put_releases, take_over
from mergepoint.tasks.spec import Schedule

PUMP_S_MAX = 0.5
"""The longest time between two looks at what is due; how late a task may be released."""
INBOX_MAX = 100
INBOX_WAIT_S = 5.0
LOST_PAUSE_S = 0.5


@dataclass
class Errands:
    """The loops beside the jobs."""

    engine: Engine
    ledger: Ledger
    config: Config
    clock: Clock
    log: Log
    address: str
    lease_s: float

    async def register(self, hello: dict[str, Any]) -> None:
        """Tell the ledger which names are known here, and which schedules."""
        while True:
            try:
                releases = await self.ledger.register(sorted(hello["tasks"]))
                await self._put(releases)
            except BusError as error:
                self.log.write("not registered yet", error=str(error))
                await self.clock.sleep(LOST_PAUSE_S)
            else:
                return

    def loops(self, hello: dict[str, Any]) -> list[Coroutine[Any, Any, None]]:
        """Return the loops to run."""
        loops = [self._inbox(), self._schedules(hello)]
        return loops if self.ledger.keeps_time else [*loops, self._pump()]

    async def _pump(self) -> None:
        """Release what is due, where the ledger is no queue and nobody else does."""
        while True:
            pause_s = PUMP_S_MAX
            try:
                due = await self.ledger.due()
                await self._put(due.releases)
                if due.next_at:
                    pause_s = min(pause_s, max(0.0, due.next_at - self.clock.unix_s()))
            except BusError as error:
                self.log.write("nothing released", error=str(error))
            await self.clock.sleep(max(pause_s, 0.001))

    async def _inbox(self) -> None:
        """Record what outboxes relay."""
        while True:
            try:
                leases = await self.engine.take(
                    [INBOX], worker=self.address, limit=INBOX_MAX, lease_s=self.lease_s,
                    wait_s=INBOX_WAIT_S,
                )  # fmt: skip
                if leases:
                    made = await take_over(self.engine, self.ledger, leases)
                    await self._put(made.releases)
            except BusError as error:
                self.log.write("inbox not read", error=str(error))
                await self.clock.sleep(LOST_PAUSE_S)

    async def _schedules(self, hello: dict[str, Any]) -> None:
        declared = [from_plain(Schedule, plain) for plain in hello["schedules"]]
        scheduler = Scheduler(self.engine, self.ledger, self.clock, self.address)
        schedules, scheduler.failed = schedules_of(self.config, hello["tasks"], declared)
        logged: set[str] = set()

        async def tell(in_force: Sequence[Schedule]) -> None:
            for name in scheduler.failed.keys() - logged:
                logged.add(name)
                self.log.write("schedule failed", schedule=name, error=scheduler.failed[name])
            told = Announcement(
                app=self.config.app, at=self.clock.unix_s(), worker=self.address,
                tasks=declared_by(hello), schedules=tuple(in_force), failed=scheduler.failed,
            )  # fmt: skip
            await announce(self.engine, told, self.address)

        await scheduler.run(schedules, self.config.app, tell)

    async def _put(self, releases: Any) -> None:
        now = self.clock.unix_s()
        await put_releases(self.engine, self.ledger, releases, self.address, now)
