"""The runner: takes leases, keeps them alive, has jobs performed, and gives back what is left.

Place:  runner.__main__ -> [runner.service] -> Engine, Ledger, runner.performing
Rule:   runs no user code, so nothing a handler does can keep it from extending a lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mergepoint.bus.contract import Engine, Lease
from mergepoint.bus.errors import BusError, BusLost
from mergepoint.bus.telling import answering
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Ledger, Progress, Start, Started
from mergepoint.tasks.executing import Job, batched, unknown
from mergepoint.tasks.home import Codec
from mergepoint.tasks.ledger.documents import from_plain
from mergepoint.tasks.messages import carriers_of
from mergepoint.tasks.progressing import Progressing
from mergepoint.tasks.runner.capacity import Capacity
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.errands import Errands
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.performing import Performance
from mergepoint.tasks.runner.pool import Pool
from mergepoint.tasks.runner.reporting import Reporter
from mergepoint.tasks.runner.tuning import Tuning

TAKE_WAIT_S = 5.0
LOST_PAUSE_S = 0.2
"""Between two calls to an engine that does not answer; it reconnects by itself."""
RETURN_S = 10.0
"""How long what is given back at a stop may take to be told to the ledger."""
NOTES_PER_ROUND = 3
"""Signs of life within one lease."""


class Runner:
    """Everything one runner process does, on one loop."""

    def __init__(
        self, *, engine: Engine, ledger: Ledger, config: Config, clock: Clock, log: Log,
        argv: Sequence[str], address: str, codec: Codec, lease_s: float = 15.0,
    ) -> None:  # fmt: skip
        self._progressing = Progressing(
            engine, ledger, codec, clock, address,
            lambda error: log.write("progress not told", error=str(error)),
        )  # fmt: skip
        self._engine = engine
        self._ledger = ledger
        self._config = config
        self._clock = clock
        self._log = log
        self._address = address
        self._lease_s = lease_s
        self._pool = Pool(argv, config, log, self._asked)
        self._leases: dict[str, Lease] = {}
        self._reporter = Reporter(engine, ledger, clock, log, address, self._leases)
        self._performing: dict[str, Performance] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._failed: Exception | None = None
        self._names: frozenset[str] = frozenset()
        self.ready = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more, let what runs end within `drain_s`; a second call does nothing."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped.

        Raises `RunnerRefused` when the tasks cannot be imported, and what ended one of its loops
        (after the drain): a runner that takes no more must not look alive.
        """
        hello = await self._pool.open()
        self._names = frozenset(hello["tasks"])
        capacity = Capacity(self._config, hello["tasks"])
        errands = Errands(
            engine=self._engine, ledger=self._ledger, config=self._config, clock=self._clock,
            log=self._log, address=self._address, lease_s=self._lease_s,
        )  # fmt: skip
        await errands.register(hello)
        taking = [self._take(queues, capacity) for queues in capacity.lanes]
        loops = [asyncio.create_task(each) for each in [*taking, *errands.loops(hello)]]
        tuning = Tuning(self._config, capacity, self._pool.meter, self._clock, self._log)
        beating = asyncio.gather(
            self._beat(), tuning.run(),
            answering(self._engine, self._address, self._clock, lambda: tuning.say(self._address)),
        )  # fmt: skip
        self._log.write("ready", tasks=sorted(self._names), queues=capacity.queues)
        self.ready.set()
        await self._until_stopped(loops)
        await self._drain()
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await self._pool.close()
        self._log.write("stopped")
        if self._failed is not None:
            raise self._failed

    async def _until_stopped(self, loops: Sequence[asyncio.Task[None]]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
        for loop in loops:
            loop.cancel()
        ended = await asyncio.gather(*loops, return_exceptions=True)
        stopping.cancel()
        for error in ended:
            if isinstance(error, Exception):
                self._log.write("a loop ended", error=repr(error))
                self._failed = error

    async def _take(self, queues: Sequence[str], capacity: Capacity) -> None:
        """Take as much as there is room for, for ever."""
        ranked = self._engine.capabilities.priority
        carriers = [carriers_of(queue, ranked=ranked) for queue in queues]
        ranks = list(zip(*carriers, strict=True))
        while not self._stopping.is_set():
            room = await capacity.room(queues)
            try:
                leases = await self._taken(ranks, room)
                if leases:
                    await self._begin(leases, capacity)
            except BusLost as lost:
                self._log.write("bus lost", error=lost.message)
                await self._clock.sleep(LOST_PAUSE_S)

    async def _taken(self, ranks: Sequence[Sequence[str]], room: int) -> list[Lease]:
        """Take from the most urgent queues that have something, then wait at all of them."""
        every = [name for names in ranks for name in names]
        tries = [(names, 0.0) for names in ranks[:-1]] + [(every, TAKE_WAIT_S)]
        for names, wait_s in tries:
            leases = await self._engine.take(
                names, worker=self._address, limit=room, lease_s=self._lease_s, wait_s=wait_s
            )
            if leases:
                return leases
        return []

    async def _begin(self, leases: Sequence[Lease], capacity: Capacity) -> None:
        starts = [
            Start(message_id=lease.message.id, token=lease.token, worker=self._address)
            for lease in leases
        ]
        answers = await self._ledger.start(starts)
        pairs = list(zip(leases, answers, strict=True))
        await self._reporter.dismiss([lease for lease, answer in pairs if answer.record is None])
        wanted = [(lease, answer) for lease, answer in pairs if answer.record is not None]
        self._leases.update({a.record.id: lease for lease, a in wanted if a.record is not None})
        known = await self._known([answer for _, answer in wanted])
        for job in batched(known):
            free = capacity.occupy(job)
            self._spawn(self._perform(job, free))

    async def _known(self, answers: Sequence[Started]) -> list[Any]:
        """Return records with their inputs; those of names nobody here knows are parked."""
        records = [(a.record, a.inputs) for a in answers if a.record is not None]
        strange = [record for record, _ in records if record.spec.name not in self._names]
        if strange:
            await self._reporter.report([unknown(record) for record in strange])
            for record in strange:
                self._log.task("parked", record)
        return [(r, inputs) for r, inputs in records if r.spec.name in self._names]

    async def _perform(self, job: Job, free: Callable[[], None]) -> None:
        performance = Performance(job, self._pool, self._config)
        for record in job.records:
            self._performing[record.id] = performance

        began_s = self._clock.monotonic_s()
        try:
            finishes = await performance.run()
            for record in job.records:
                self._performing.pop(record.id, None)
            took_s = round(self._clock.monotonic_s() - began_s, 6)
            for record, finish in zip(job.records, finishes, strict=True):
                self._log.task(finish.ending.value, record, took_s=took_s, error=finish.error)
            for record in job.records:
                await self._progressing.flush(record.id)
            await self._reporter.report(finishes)
            for record, finish in zip(job.records, finishes, strict=True):
                await self._progressing.end(record.id, finish.ending.value)
        finally:
            for record in job.records:
                self._performing.pop(record.id, None)
                self._leases.pop(record.id, None)
            free()

    async def _beat(self) -> None:
        """Keep what is held, tell handlers that lost theirs or are cancelled."""
        while True:
            await self._clock.sleep(self._lease_s / NOTES_PER_ROUND)
            held = dict(self._leases)
            if not held:
                continue
            try:
                lost = await self._engine.extend(list(held.values()), self._lease_s)
                tokens = {task: lease.token for task, lease in held.items()}
                touched = await self._ledger.touch(tokens)
            except BusError as error:
                self._log.write("leases not extended", error=str(error))
                continue
            gone = {lease.message.id.partition(".")[0] for lease in lost} | set(touched.lost)
            self._tell(gone, "its lease was lost; somebody else has it")
            self._tell(set(touched.cancelling), "cancelled")

    def _tell(self, tasks: set[str], why: str) -> None:
        for task in tasks:
            if task in self._performing:
                self._performing[task].interrupt(why)

    async def _drain(self) -> None:
        self._log.write("draining", jobs=len(self._jobs), drain_s=self._config.drain_s)
        if self._jobs:
            await asyncio.wait(list(self._jobs), timeout=self._config.drain_s)
        for performance in set(self._performing.values()):
            performance.give_back()
        if self._jobs:
            await asyncio.wait(list(self._jobs), timeout=RETURN_S)

    async def _asked(self, head: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a child's handler."""
        try:
            if "progress" in head:
                task, token, plain = head["progress"]
                named = self._performing.get(task)
                if named is not None:
                    name = named.job.records[0].spec.name
                    self._progressing.tell(task, token, name, from_plain(Progress, plain))
                return None
            done = await self._ledger.once(head["task"], head["key"], done=head["mark"])
        except BusError as error:
            self._log.write("a handler was not answered", error=str(error))
            return None
        return {"answer": head["once"], "ok": done}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
