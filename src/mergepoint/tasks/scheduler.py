"""Start tasks by the clock: every instance tries, one claim of the ledger succeeds.

Place:  tasks.runner.errands -> [tasks.scheduler] -> tasks.ticking, Ledger.fire
Rule:   no leader: whoever lives fires, and a tick is claimed and recorded in one transaction.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

from mergepoint.bus.contract import Engine
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Ledger, Plan, ScheduleRow
from mergepoint.tasks.cron import times_of
from mergepoint.tasks.errors import CronUnreadable, TaskError
from mergepoint.tasks.sending import put_releases
from mergepoint.tasks.spec import Schedule, Spec
from mergepoint.tasks.ticking import Times, plan

LOOK_S_MAX = 1.0
"""The longest sleep between two looks: how late a tick is after the clock was set."""
LOOK_S_MIN = 0.01
Tell = Callable[[Sequence[Schedule]], Awaitable[None]]


class Scheduler:
    """One instance; any number of them may run."""

    def __init__(self, engine: Engine, ledger: Ledger, clock: Clock, address: str) -> None:
        self._engine = engine
        self._ledger = ledger
        self._clock = clock
        self._address = address
        self._quiet: dict[str, tuple[float, Plan]] = {}
        self.failed: dict[str, str] = {}
        """Names of schedules that are not fired, and why."""

    async def run(self, schedules: Sequence[Schedule], app: str, tell: Tell | None = None) -> None:
        """Fire what is due, for ever; a schedule that means nothing stops itself alone.

        `tell` is called with what is in force at the beginning and whenever one has failed.
        """
        times = self._sound(schedules)
        told = -1
        while True:
            pause_s = LOOK_S_MAX
            try:
                if tell is not None and told < len(self.failed):
                    told = len(self.failed)
                    await tell([each for each in schedules if each.name not in self.failed])
                next_at = await self.look(schedules, times, app)
                if next_at:
                    pause_s = min(pause_s, max(LOOK_S_MIN, next_at - self._clock.unix_s()))
            except BusError:
                told = -1  # perhaps; ticks that pass meanwhile are made up for
            await self._clock.sleep(pause_s)

    async def look(
        self, schedules: Sequence[Schedule], times: Mapping[str, Times | None], app: str
    ) -> float:
        """Fire what is due now; return when the next tick is, 0 for none."""
        sound = [each for each in schedules if each.name not in self.failed]
        rows = await self._ledger.schedule(sound, app)
        nexts = []
        for row in rows:
            name = row.schedule.name
            if name in times and name not in self.failed:
                try:
                    nexts.append(await self._fire(row, times))
                except TaskError as error:
                    self.failed[name] = str(error)
        return min((each for each in nexts if each), default=0.0)

    def _sound(self, schedules: Sequence[Schedule]) -> dict[str, Times | None]:
        """Return the ticks of those that mean something; note why the others do not."""
        times: dict[str, Times | None] = {}
        for schedule in schedules:
            try:
                times[schedule.name] = times_here(schedule)
            except TaskError as error:
                self.failed[schedule.name] = str(error)
        return times

    async def _fire(self, row: ScheduleRow, times: Mapping[str, Times | None]) -> float:
        schedule, last, now = row.schedule, row.last_tick, self._clock.unix_s()
        times_of_it = times[schedule.name]
        if times_of_it is None:
            decided = await self._asked(row, now)
        else:
            decided = plan(schedule, times_of_it, last, now)
        if decided.skip_to:
            await self._ledger.fire(schedule.name, last, decided.skip_to, None)
        for tick in decided.fire:
            spec = spec_of(schedule, tick)
            made = await self._ledger.fire(schedule.name, last, tick, spec)
            if not made.placed:
                return now + LOOK_S_MIN  # somebody else has it; look at what is left
            await put_releases(self._engine, self._ledger, made.releases, self._address, now)
            last = tick
        return decided.next_at

    async def _asked(self, row: ScheduleRow, now: float) -> Plan:
        """Let the ledger decide; what it said is good until the next tick."""
        name = row.schedule.name
        last, kept = self._quiet.get(name, (0.0, Plan()))
        if last == row.last_tick and now < kept.next_at:
            return kept
        decided = await self._ledger.plan(row.schedule, row.last_tick)
        if not decided.fire and not decided.skip_to:
            self._quiet[name] = (row.last_tick, decided)
        return decided


def times_here(schedule: Schedule) -> Times | None:
    """Return the ticks of a schedule; None where only the ledger can read its line."""
    try:
        return times_of(schedule)
    except CronUnreadable:
        return None


def spec_of(schedule: Schedule, tick: float) -> Spec:
    """Return the task of one tick; its id is the same whoever makes it."""
    digest = hashlib.blake2b(f"{schedule.name}@{tick!r}".encode(), digest_size=16).digest()
    # UUIDv7's time of the tick, and the schedule's name where chance would be.
    value = int(tick * 1000) << 80 | int.from_bytes(digest[:9], "big")
    value = value & ~(0xF << 76) & ~(0b11 << 62) | 7 << 76 | 0b10 << 62
    return Spec(
        id=str(uuid.UUID(int=value & (2**128 - 1))),
        name=schedule.task,
        queue=schedule.queue,
        payload=schedule.payload,
        content_type=schedule.content_type,
        priority=schedule.priority,
        options=schedule.options,
        app=schedule.app,
        context={"mpschedule": schedule.name},
    )
