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
from mergepoint.tasks.contract import Ending, Finish, Ledger, Progress, Started
from mergepoint.tasks.executing import Job, batched, unknown
from mergepoint.tasks.home import Codec
from mergepoint.tasks.ledger.documents import from_plain
from mergepoint.tasks.messages import carriers_of
from mergepoint.tasks.progressing import Progressing
from mergepoint.tasks.runner.capacity import Capacity
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.errands import Errands
from mergepoint.tasks.runner.exchange import Begun, exchange_of
from mergepoint.tasks.runner.lanes import KEPT_S, Lane
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
LOST = "its lease was lost; somebody else has it"
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
        self._exchange = exchange_of(engine, ledger, clock, address, lease_s)
        self._reporter = Reporter(self._exchange, clock, log, self._leases)
        self._lanes: list[Lane] = []
        self._looking: set[Lane] = set()
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
        ahead = self._exchange.looks_ahead
        self._lanes = [Lane(each, capacity, looks_ahead=ahead) for each in capacity.lanes]
        taking = [self._take(lane) for lane in self._lanes]
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

    async def _take(self, lane: Lane) -> None:
        """Take as much as there is room for, for ever."""
        ranked = self._engine.capabilities.priority
        carriers = [carriers_of(queue, ranked=ranked) for queue in lane.queues]
        ranks = list(zip(*carriers, strict=True))
        while not self._stopping.is_set():
            await self._reporter.caught_up()
            room = await lane.room()
            try:
                begun = await self._taken(ranks, room)
                lane.taken(len(begun), room)
                await self._begin(begun, lane)
            except BusLost as lost:
                self._log.write("bus lost", error=lost.message)
                await self._clock.sleep(LOST_PAUSE_S)

    async def _taken(self, ranks: Sequence[Sequence[str]], room: int) -> list[Begun]:
        """Take from the most urgent queues that have something, then wait at all of them."""
        every = [name for names in ranks for name in names]
        tries = [(names, 0.0) for names in ranks[:-1]] + [(every, TAKE_WAIT_S)]
        for names, wait_s in tries:
            begun = await self._exchange.take(names, room, wait_s)
            if begun:
                return begun
        return []

    async def _begin(self, begun: Sequence[Begun], lane: Lane) -> None:
        wanted = [(lease, started) for lease, started in begun if started.record is not None]
        self._leases.update({s.record.id: lease for lease, s in wanted if s.record is not None})
        known = await self._known([started for _, started in wanted])
        now_s = self._clock.monotonic_s()
        for job in batched(known):
            lane.add(job, now_s)
        self._begin_waiting(lane)

    def _begin_waiting(self, lane: Lane) -> None:
        """Begin what has a slot; look again at what has none before it is late."""
        while (ready := lane.begin()) is not None:
            job, free = ready
            self._spawn(self._perform(job, free, lane))
        if lane.first_s is not None and lane not in self._looking:
            self._looking.add(lane)
            asyncio.get_running_loop().call_later(KEPT_S, self._look_for_late, lane)

    def _look_for_late(self, lane: Lane) -> None:
        self._looking.discard(lane)
        late = lane.late(self._clock.monotonic_s())
        if late:
            self._spawn(self._give_back(late))
        self._begin_waiting(lane)

    async def _give_back(self, jobs: Sequence[Job]) -> None:
        """Let others run what has not begun here; no attempt counts."""
        records = [record for job in jobs for record in job.records]
        why = "its runner had no room for it"
        await self._reporter.report(
            [
                Finish(id=record.id, token=record.token, ending=Ending.RETURNED, error=why)
                for record in records
            ]
        )

    async def _known(self, answers: Sequence[Started]) -> list[Any]:
        """Return records with their inputs; those of names nobody here knows are parked."""
        records = [(a.record, a.inputs) for a in answers if a.record is not None]
        strange = [record for record, _ in records if record.spec.name not in self._names]
        if strange:
            await self._reporter.report([unknown(record) for record in strange])
            for record in strange:
                self._log.task("parked", record)
        return [(r, inputs) for r, inputs in records if r.spec.name in self._names]

    async def _perform(self, job: Job, free: Callable[[], None], lane: Lane) -> None:
        performance = Performance(job, self._pool, self._config)
        for record in job.records:
            before = self._performing.get(record.id)
            if before is not None:
                before.interrupt(LOST)
            self._performing[record.id] = performance

        began_s = self._clock.monotonic_s()
        try:
            try:
                finishes = await performance.run()
            finally:
                # Whoever waits for the slot need not wait for the ledger, too.
                free()
                for record in job.records:
                    if self._performing.get(record.id) is performance:
                        del self._performing[record.id]
            took_s = self._clock.monotonic_s() - began_s
            lane.pace.ended(took_s)
            self._begin_waiting(lane)
            for record, finish in zip(job.records, finishes, strict=True):
                error = finish.error
                self._log.task(finish.ending.value, record, took_s=round(took_s, 6), error=error)
            for record in job.records:
                await self._progressing.flush(record.id)
            await self._reporter.report(finishes)
            for record, finish in zip(job.records, finishes, strict=True):
                await self._progressing.end(record.id, finish.ending.value)
        finally:
            for record in job.records:
                self._reporter.let_go(record.id, record.token)

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
            self._tell(gone, LOST)
            self._tell(set(touched.cancelling), "cancelled")

    def _tell(self, tasks: set[str], why: str) -> None:
        for task in tasks:
            if task in self._performing:
                self._performing[task].interrupt(why)

    async def _drain(self) -> None:
        self._log.write("draining", jobs=len(self._jobs), drain_s=self._config.drain_s)
        waiting = [job for lane in self._lanes for job in lane.empty()]
        if waiting:
            self._spawn(self._give_back(waiting))
        if self._jobs:
            await asyncio.wait(list(self._jobs), timeout=self._config.drain_s)
        for performance in set(self._performing.values()):
            performance.give_back()
        if self._jobs:
            await asyncio.wait(list(self._jobs), timeout=RETURN_S)
        await self._exchange.close()

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
