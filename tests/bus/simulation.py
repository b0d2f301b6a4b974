"""A seeded world: processes that put, work, listen, ask, fail and die, on one virtual loop.

The same seed gives the same world, to the last step. `run` returns what happened; the tests say
what must be true of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import EntryState, Gap, Limits
from mergepoint.bus.doorway import Bus, Parts
from mergepoint.bus.errors import BusError, BusLost, LeaseLost
from mergepoint.testing.faults import Crashed
from mergepoint.testing.here import Here
from mergepoint.testing.virtual_time import VirtualTime

LIMITS = Limits(lease_s=3.0, attempts_max=4, buffer_messages_max=5, requests_max=3)
JOBS, EVENTS, QUESTIONS, WORKERS = 12, 20, 5, 3
END_S = 100_000.0
FAILING = ("put", "take", "ack", "nack", "extend", "publish", "request")


class Failure(Exception):
    """A handler's own."""


@dataclass
class World:
    """Everything that happened."""

    seed: int
    duplicates: int = 0
    accepted: list[str] = field(default_factory=list)
    started: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    """Blocks that were left without an error: the job is done, and the worker knows it."""
    unknown: Counter[str] = field(default_factory=Counter)
    """The worker was not told whether the job was finished."""
    stale: list[str] = field(default_factory=list)
    """Finished by somebody after it was given to another."""
    lost_alive: list[str] = field(default_factory=list)
    """Lost by a worker that was never paused, on a bus that never failed."""
    lost_paused: int = 0
    out_of_turn: list[str] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    left: int = 0
    published: int = 0
    received: int = 0
    lost: int = 0
    asked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    trace: list[str] = field(default_factory=list)


def run(seed: int, *, duplicates: int = 0) -> World:
    """Return the world of this seed after everything came to rest."""
    simulation = Simulation(seed, duplicates)
    with asyncio.Runner(loop_factory=simulation.time.loop) as runner:
        runner.run(simulation.live())
    return simulation.world


class Simulation:
    """The parts of one world."""

    def __init__(self, seed: int, duplicates: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(seed, duplicates)
        self.time = VirtualTime()
        self.broker = Broker(LIMITS)
        self.broker.faults.repeats = duplicates
        self.broker.faults.before = self._maybe("before")
        self.broker.faults.after = self._maybe("after")
        if self.chance.random() < 0.5:
            self.broker.faults.pick = self.chance.choice
        self.trouble = self.chance.choice((0.0, 0.02, 0.1))
        self.deadly = self.chance.choice((0.0, 0.01, 0.05))
        self._numbers = itertools.count(1)
        self._calm = False
        self._holder: dict[str, str] = {}

    def process(self) -> Bus:
        """Return another process's bus."""
        parts = Parts(
            make_engine=lambda: MemoryEngine("memory:", LIMITS, self.time, broker=self.broker),
            limits=LIMITS,
            clock=self.time,
            codec=Codec("json", {}, self.time),
            address="sim/0",
            new_id=lambda: f"m{next(self._numbers)}",
        )
        return Bus(parts, loop=Here())

    async def live(self) -> None:
        """Let them all live until all is done."""
        async with asyncio.timeout(END_S):
            producing = [asyncio.create_task(self.produce(number)) for number in range(2)]
            asking = asyncio.create_task(self.ask())
            listening = asyncio.create_task(self.listen())
            working = [asyncio.create_task(self.work(number)) for number in range(WORKERS)]
            await asyncio.gather(*producing, asking)
            await self._until_empty()
            self._calm = True
            await listening
            await asyncio.gather(*working)

    async def produce(self, number: int) -> None:
        """Put jobs, and repeat what may be lost under its id."""
        bus = self.process()
        for count in range(JOBS):
            await self.time.sleep(self.chance.random())
            id_ = f"{number}.{count}"
            how: dict[str, Any] = {"id": id_}
            if self.chance.random() < 0.6:
                how["key"] = self.chance.choice("abc")
            if self.chance.random() < 0.2:
                how["delay_s"] = self.chance.uniform(0, 10)
            if self.chance.random() < 0.2:
                how["priority"] = self.chance.randrange(10)
            await self._insist(bus, lambda: bus.queue("q").aput(id_, **how))  # noqa: B023
            self.world.accepted.append(id_)

    async def work(self, number: int) -> None:
        """Take, work longer than a lease or shorter, fail, die, come back."""
        bus = self.process()
        while not self._calm:
            try:
                await self._one(bus, number)
            except Crashed:
                self._die(bus)
            except (BusLost, Failure):
                await self.time.sleep(self.chance.random())

    async def _one(self, bus: Bus, number: int) -> None:
        job = await bus.queue("q").aget(wait_s=self.chance.uniform(0, 3))
        if not job:
            return
        self.world.started[job.id] += 1
        self.world.trace.append(f"{self.time.monotonic_s():.3f} {number} {job.id} {job.attempt}")
        self._check_turn(job.id, job.lease.key)
        self._holder[job.id] = job.lease.token
        paused = self.chance.random() < 0.1
        if paused:  # as by SIGSTOP: nothing extends its leases
            bus.keeper().drop()
        try:
            async with job:
                await self.time.sleep(self.chance.expovariate(0.5))
                if self.chance.random() < 0.15:
                    raise Failure(job.id)
        except LeaseLost:
            self.world.lost_paused += paused
            if not paused and not self.trouble:
                self.world.lost_alive.append(job.id)
            return
        except (Crashed, BusLost):
            self.world.unknown[job.id] += 1
            raise
        self.world.finished[job.id] += 1
        if self._holder[job.id] != job.lease.token:
            self.world.stale.append(job.id)

    async def listen(self) -> None:
        """Listen slower than some publish, and count."""
        bus = self.process()
        events = await self._insist(bus, lambda: self._subscribed(bus))
        publishing = asyncio.create_task(self._publish())
        while not publishing.done() or self.world.received + self.world.lost < self.world.published:
            item = await events.areceive(wait_s=1.0)
            if isinstance(item, Gap):
                self.world.lost += item.lost
            elif item is not None:
                self.world.received += 1
            await self.time.sleep(self.chance.random() / 5)
        await publishing

    async def _subscribed(self, bus: Bus) -> Any:
        return await bus.asubscribe("news.>")

    async def _publish(self) -> None:
        bus = self.process()
        for number in range(EVENTS):
            try:
                await bus.apublish(f"news.{number}", number)
            except BusLost:
                continue
            except Crashed:
                self._die(bus)
                continue
            finally:
                # Counted where it happened: a lost answer does not say that nothing did.
                self.world.published = sum(one.published or 0 for one in self.broker.topics())
            await self.time.sleep(self.chance.random() / 10)

    async def ask(self) -> None:
        """Ask a server that answers late, fails or dies."""
        server, bus = self.process(), self.process()

        async def answer(value: int) -> int:
            await self.time.sleep(self.chance.uniform(0, 2))
            if self.chance.random() < 0.2:
                raise Failure("no")
            return value * 2

        await self._insist(server, lambda: server.aserve("app", answer))
        for number in range(QUESTIONS):
            self.world.asked += 1
            try:
                got = await bus.arequest("app", number, timeout_s=1.5)
                self.world.outcomes["right" if got == number * 2 else "wrong"] += 1
            except BusError as error:
                self.world.outcomes[error.code] += 1
            except Crashed:
                self.world.outcomes["crashed"] += 1
                self._die(bus)

    async def _insist(self, bus: Bus, call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await call()
            except BusLost:
                await self.time.sleep(0.1)
            except Crashed:
                self._die(bus)

    async def _until_empty(self) -> None:
        queue = self.broker.queue("q")
        while any(job.state is not EntryState.DEAD for job in queue.jobs.values()):
            await self.time.sleep(5.0)
        self.world.dead = {job.id for job in queue.jobs.values()}
        self.world.left = len(queue.jobs) - len(self.world.dead)

    def _check_turn(self, id_: str, key: str) -> None:
        jobs = self.broker.queue("q").jobs.values()
        mine = next((job for job in jobs if job.id == id_), None)
        for job in jobs:
            ahead = mine is not None and key and job.put.key == key and job.number < mine.number
            if ahead and job.state is not EntryState.DEAD:
                self.world.out_of_turn.append(f"{id_} before {job.id}")

    def _die(self, bus: Bus) -> None:
        self.world.crashes += 1
        engine = bus.abandon()
        if isinstance(engine, MemoryEngine):
            engine.vanish()

    def _maybe(self, point: str) -> Callable[[str], Awaitable[None]]:
        async def happen(operation: str) -> None:
            drawn = self.chance.random()
            if operation in FAILING and drawn < self.trouble:
                raise BusLost(f"{point} {operation}")
            # A process dies where a test can see it, not in the task that keeps its leases.
            task = asyncio.current_task()
            seen = task is not None and "Keeper" not in task.get_coro().__qualname__
            if seen and operation in FAILING and drawn > 1 - self.deadly:
                raise Crashed(f"{point} {operation}")

        return happen
