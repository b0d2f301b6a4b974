"""Run tasks inside a test's own process, in virtual time: `Site.testing()`.

Place:  mergepoint.testing -> [tasks.testing] -> tasks.executing, Engine, Ledger
Rule:   the same ledger, messages, doorway and schedules as a runner; only processes are missing,
        so time-outs and deaths of processes are not shown here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mergepoint.bus.context import continued
from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import BusError
from mergepoint.tasks.context import Context
from mergepoint.tasks.contract import Finish, Progress, Start
from mergepoint.tasks.cron import times_of
from mergepoint.tasks.declare import Tasks
from mergepoint.tasks.executing import Job, arun, batched, context_of, run, unknown
from mergepoint.tasks.home import Home
from mergepoint.tasks.ledger.local import LocalLedger
from mergepoint.tasks.messages import INBOX, queue_of
from mergepoint.tasks.scheduler import Scheduler
from mergepoint.tasks.sending import put_releases, take_over

WORKER = "testing"
TAKEN_MAX = 100
LEASE_S = 15.0
"""Also the longest virtual pause between two looks: what came back unseen is found then."""


class Site(Home, Protocol):
    """A home with its tasks."""

    @property
    def tasks(self) -> Tasks:
        """What is declared."""
        ...


class HereRunner:
    """Does what is due, as soon as it is, on the site's loop."""

    def __init__(
        self,
        site: Site,
        ledger: LocalLedger,
        *,
        holding: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._holding = holding
        self._changed = asyncio.Event()
        self._ticked = (0, 0.0)

    async def run(self) -> None:
        """Work for ever."""
        loop = asyncio.get_running_loop()

        # Handlers in threads change the ledger, too.
        def wake() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        self._ledger.on_change = wake
        while True:
            self._changed.clear()
            with contextlib.suppress(BusError):  # a fault that the test asked for
                while await self._round():
                    pass
                next_at, released = await self._due()
                if released:
                    continue
                now = self._site.clock.unix_s()
                pause_s = min(LEASE_S, max(0.0, next_at - now)) if next_at else LEASE_S
                await self._wait(pause_s)
                continue
            await self._wait(0.1)

    async def _wait(self, pause_s: float) -> None:
        changing = asyncio.ensure_future(self._changed.wait())
        sleeping = asyncio.ensure_future(self._site.clock.sleep(pause_s))
        await asyncio.wait([changing, sleeping], return_when=asyncio.FIRST_COMPLETED)
        changing.cancel()
        sleeping.cancel()

    async def _round(self) -> bool:
        """Take and run what is there; False when nothing was."""
        engine = await self._site.engine()
        letters = await engine.take(
            [INBOX], worker=WORKER, limit=TAKEN_MAX, lease_s=LEASE_S, wait_s=0
        )
        if letters:
            made = await take_over(engine, self._ledger, letters)
            await self._put(made.releases)
        queues = {task.declaration.queue for task in self._site.tasks.declared.values()}
        names = [queue_of(queue) for queue in sorted(queues | {"default"})]
        leases = await engine.take(names, worker=WORKER, limit=TAKEN_MAX, lease_s=LEASE_S, wait_s=0)
        if leases:
            await self._begin(leases)
        return bool(leases or letters)

    async def _begin(self, leases: Sequence[Lease]) -> None:
        engine = await self._site.engine()
        starts = [
            Start(message_id=lease.message.id, token=lease.token, worker=WORKER) for lease in leases
        ]
        answers = await self._ledger.start(starts)
        started = [(a.record, a.inputs) for a in answers if a.record is not None]
        known = [(r, i) for r, i in started if r.spec.name in self._site.tasks.declared]
        strange = [r for r, _ in started if r.spec.name not in self._site.tasks.declared]
        for record in strange:
            await self._report([unknown(record)])
        for job in batched(known):
            await self._report(await self._perform(job))
        await engine.ack(leases)

    async def _perform(self, job: Job) -> list[Finish]:
        task = self._site.tasks.declared[job.records[0].spec.name]
        office = HereOffice(self._site, self._ledger, job.records[0].token)
        context: Context = context_of(job.records[0], office)
        with continued(context.extensions, app=self._site.tasks.app):
            if asyncio.iscoroutinefunction(task.function):
                return await arun(task, job, task.codec, context)
            copied = contextvars.copy_context()
            # A blocking handler may call the bus, which lives on this loop: another thread.
            work = (run, task, job, task.codec, context)
            loop = asyncio.get_running_loop()
            with self._holding():
                return await loop.run_in_executor(None, copied.run, *work)

    async def _report(self, finishes: Sequence[Finish]) -> None:
        made = await self._ledger.finish(finishes)
        await self._put(made.releases)

    async def _due(self) -> tuple[float, bool]:
        """Release what is due and fire schedules; return when to look again, or that it is now."""
        due = await self._ledger.due()
        await self._put(due.releases)
        next_at = await self._tick()
        return min((at for at in (due.next_at, next_at) if at), default=0.0), bool(due.releases)

    async def _tick(self) -> float:
        """Fire schedules; return when the next is due: until then nobody need look again."""
        schedules, (known, next_at) = self._site.tasks.schedules, self._ticked
        if not schedules or (known == len(schedules) and self._site.clock.unix_s() < next_at):
            return next_at
        times = {each.name: times_of(each) for each in schedules}
        engine = await self._site.engine()
        scheduler = Scheduler(engine, self._ledger, self._site.clock, self._site.address)
        next_at = await scheduler.look(schedules, times, self._site.tasks.app)
        self._ticked = len(schedules), next_at
        return next_at

    async def _put(self, releases: Any) -> None:
        engine, now = await self._site.engine(), self._site.clock.unix_s()
        await put_releases(engine, self._ledger, releases, self._site.address, now)


class HereOffice:
    """The `Office` of a handler in this process."""

    def __init__(self, site: Site, ledger: LocalLedger, token: str) -> None:
        self._site = site
        self._ledger = ledger
        self._token = token

    def progress(self, task: str, progress: Progress) -> None:
        """Write it."""
        self._now("progress", task=task, token=self._token, progress=progress)

    def once(self, task: str, key: str, *, done: bool) -> bool:
        """Ask for a mark, or set it."""
        return bool(self._now("once", task=task, key=key, done=done))

    def _now(self, operation: str, **arguments: Any) -> Any:
        # Handlers on the loop's own thread cannot wait for it; a local ledger answers at once.
        asked = self._ledger.do(operation, **arguments)
        try:
            asked.send(None)
        except StopIteration as stopped:
            return stopped.value
        raise RuntimeError("a local ledger waits for nothing")
