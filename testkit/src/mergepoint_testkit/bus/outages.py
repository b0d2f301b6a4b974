"""Lost connections are seen and repaired: nothing stalls in silence (G10).

Place:  bus.promise -> [bus.outages] -> an engine through bus.proxy
Rule:   the first connection of a stand goes straight to the broker, the one that suffers goes
        through the source's proxy. Not among `promises()`: ask for `promises("outages")`, or for
        `brief_outages()` where the others are left to a soak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from mergepoint.bus.contract import Change, Engine, Gap, Lease, Put, State
from mergepoint.bus.errors import BusError, BusLost, NoSuchAddress, RequestTimeout, Unavailable
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.promise import Check, Promise, promise, promises
from mergepoint_testkit.bus.proxy import FaultProxy
from mergepoint_testkit.bus.requests import echo
from mergepoint_testkit.bus.stand import LONG_S, Reader, Stand

HEARTBEAT_S = 0.5
SEEN_S_MAX = 2 * HEARTBEAT_S + 10.0
"""Two heartbeats, and what a busy machine may add: far less than an engine's own time-outs."""
BACK_S_MAX = 30.0
"""How long whoever lost its connection may take to come again."""
JOBS_BEFORE, JOBS_AFTER = 10, 5
"""Jobs that are finished before an outage begins, and after it."""
PACE_S = 0.01
"""Between two jobs that are put: an outage of seconds leaves hundreds to do, not thousands."""
LIMITS: dict[str, Any] = {  # Any: fields of Limits
    "heartbeat_s": HEARTBEAT_S,
    "reconnect_s_max": 0.2,
    "call_s": 4.0,
}
BRIEF = (
    "a_reset_",
    "several_resets_leaves_workers",
    "a_half_open_connection_leaves_workers",
    "a_half_open_connection_loses_no_job",
    "who_left_",
    "a_slow_",
    "a_call_",
)
"""How the names begin of what is put to the test each time."""
Outage = Callable[[FaultProxy], Coroutine[Any, Any, None]]


def brief_outages() -> list[Promise]:
    """Return the outages that are over soon; the first of a kind stands for the others."""
    return [one for one in promises("outages") if one.name.partition(".")[2].startswith(BRIEF)]


async def a_reset(proxy: FaultProxy) -> None:
    """Reset once."""
    await proxy.reset()


async def several_resets(proxy: FaultProxy) -> None:
    """Reset three times, each as soon as somebody is there again."""
    for _ in range(3):
        coming = asyncio.create_task(proxy.reconnected())
        await asyncio.sleep(0)
        await proxy.reset()
        async with asyncio.timeout(BACK_S_MAX):
            await coming


async def a_silence(proxy: FaultProxy) -> None:
    """Forward nothing until whoever is connected has given up and come again."""
    proxy.black_hole()
    async with asyncio.timeout(SEEN_S_MAX + BACK_S_MAX):
        await proxy.reconnected()
    proxy.heal()


async def a_half_open_connection(proxy: FaultProxy) -> None:
    """Lose the broker's end without a word to the client."""
    coming = asyncio.create_task(proxy.reconnected())
    await asyncio.sleep(0)
    await proxy.half_open()
    async with asyncio.timeout(SEEN_S_MAX + BACK_S_MAX):
        await coming


async def a_restart(proxy: FaultProxy) -> None:
    """Be gone for a second, refuse, and be back."""
    await proxy.refuse()
    await asyncio.sleep(1.0)
    await proxy.accept()


OUTAGES: tuple[Outage, ...] = (
    a_reset,
    several_resets,
    a_silence,
    a_half_open_connection,
    a_restart,
)


async def again(stand: Stand, call: Callable[[], Awaitable[Any]], *also: type[BusError]) -> Any:
    """Return what a call returns once the engine is back; it may be lost until then."""
    passing: tuple[type[BusError], ...] = (BusLost, *also)
    async with stand.patience():
        while True:
            try:
                return await call()
            except passing:
                await asyncio.sleep(0.05)


async def take_again(stand: Stand, engine: Engine, queue: str, lease_s: float = LONG_S) -> Lease:
    """Take one job, asking again when the wait was lost."""

    async def one() -> Lease:
        while True:
            leases = await engine.take([queue], worker="w", limit=1, lease_s=lease_s, wait_s=5.0)
            if leases:
                return leases[0]

    lease: Lease = await again(stand, one)
    return lease


async def is_seen(stand: Stand, outage: Outage) -> None:
    """`lost` within two heartbeats, then `connected` without anybody doing anything."""
    engine = await stand.connect_through()
    begun = asyncio.get_running_loop().time()
    outaged = asyncio.create_task(outage(stand.proxy))
    await stand.until(engine, State.LOST, ever=True)
    assert asyncio.get_running_loop().time() - begun <= SEEN_S_MAX
    await outaged
    await stand.until(engine, State.CONNECTED)


async def leaves_listeners_listening(stand: Stand, outage: Outage) -> None:
    """A listener is told of a gap nobody can count, and hears what comes after it."""
    engine = await stand.connect_through()
    reader = await stand.listen(engine, stand.name("news"))
    await stand.soon(stand.first.publish(stand.name("news"), stand.message(b'"before"')))
    assert isinstance(await anext(reader), Message)
    await outage(stand.proxy)
    assert await _first_gap(stand, reader), "a gap was not reported"


async def _first_gap(stand: Stand, reader: Reader[Message | Gap]) -> bool:
    """Publish until something arrives; tell whether a gap came before the first message.

    A busy machine may lose the connection again: then there are several gaps.
    """
    publishing = asyncio.create_task(_publish_on(stand))
    gaps = 0
    try:
        while await anext(reader) == Gap(0):
            gaps += 1
        return gaps > 0
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def _publish_on(stand: Stand) -> None:
    while True:
        await stand.first.publish(stand.name("news"), stand.message(b'"after"'))
        await asyncio.sleep(0.05)


async def leaves_workers_working(stand: Stand, outage: Outage) -> None:
    """A worker that waits, and asks again when told that it was lost, gets the next job."""
    engine = await stand.connect_through()
    working = asyncio.create_task(take_again(stand, engine, stand.name("mail")))
    await asyncio.sleep(0.1)
    await outage(stand.proxy)
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await working
    assert lease.message.data == b"1"


async def never_lets_two_finish_one_job(stand: Stand, outage: Outage) -> None:
    """Whoever held a job through the outage either still does, or is told that it was lost."""
    engine = await stand.connect_through()
    await stand.put(stand.first, stand.name("mail"), b"1")
    old = await take_again(stand, engine, stand.name("mail"))
    await outage(stand.proxy)
    lost = await again(stand, lambda: engine.ack([old]))
    others = await stand.soon(
        stand.first.take([stand.name("mail")], worker="other", limit=1, lease_s=LONG_S, wait_s=1.0)
    )
    assert lost in ([], [old])
    assert not (lost == [] and others), "finished, and yet given to another"


async def lets_a_put_be_repeated(stand: Stand, outage: Outage) -> None:
    """A put that was lost may be repeated with its id: the job is there once."""
    engine = await stand.connect_through()
    put = Put(message=stand.message(b"1"))
    outaged = asyncio.create_task(outage(stand.proxy))
    await asyncio.sleep(0)
    await again(stand, lambda: engine.put(stand.name("mail"), [put]))
    await outaged
    await again(stand, lambda: engine.put(stand.name("mail"), [put]))
    await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(stand.first, stand.name("mail"))


async def loses_no_job_and_repeats_none_that_was_finished(stand: Stand, outage: Outage) -> None:
    """Jobs flow through it: what was accepted is finished, what was finished never comes again."""
    engine, flow = await stand.connect_through(), Flow(stand)
    putting = asyncio.create_task(flow.put_on(engine))
    working = asyncio.create_task(flow.work_on(engine))
    try:
        await flow.reaches(JOBS_BEFORE)
        await outage(stand.proxy)
        await flow.reaches(len(flow.finished) + JOBS_AFTER)
        flow.enough.set()
        async with stand.patience():
            await putting
        await flow.reaches(len(flow.accepted))
    finally:
        for task in (putting, working):
            task.cancel()
        told = await asyncio.gather(putting, working, return_exceptions=True)
    broken = [one for one in told if isinstance(one, Exception)]
    assert not broken, broken
    await stand.none_left(stand.first, flow.queue)


class Flow:
    """One who puts and one who works, through the same connection, and what became of each job."""

    def __init__(self, stand: Stand) -> None:
        self.queue = stand.name("mail")
        self.accepted: set[str] = set()
        self.finished: set[str] = set()
        self.enough = asyncio.Event()
        self._stand = stand
        self._repeated: set[str] = set()
        """Put again because the answer was lost: without `dedupe` these may be there twice."""
        self._changed = asyncio.Event()

    async def put_on(self, engine: Engine) -> None:
        """Put a job every now and then, again with the same id when it was lost."""
        while not self.enough.is_set():
            put = Put(message=self._stand.message())
            try:
                await engine.put(self.queue, [put])
            except BusLost:
                self._repeated.add(put.message.id)
                await again(self._stand, partial(engine.put, self.queue, [put]))
            self.accepted.add(put.message.id)
            await asyncio.sleep(PACE_S)

    async def work_on(self, engine: Engine) -> None:
        """Take and finish, again when told that the bus was lost."""
        while True:
            # Short: a job whose delivery was lost on its way comes back with the lease.
            lease_s = 5 * self._stand.short_s
            lease = await take_again(self._stand, engine, self.queue, lease_s)
            job = lease.message.id
            if job in self.finished:
                assert self._may_be_twice(engine, job), f"{job} was finished, and came again"
            if await again(self._stand, partial(engine.ack, [lease])) == []:
                self.finished.add(job)
                self._changed.set()

    async def reaches(self, count: int) -> None:
        """Return when so many jobs are finished."""
        async with self._stand.patience():
            while len(self.finished) < count:
                self._changed.clear()
                await self._changed.wait()

    def _may_be_twice(self, engine: Engine, job: str) -> bool:
        return job in self._repeated and not engine.capabilities.dedupe


async def leaves_served_addresses_served(stand: Stand, outage: Outage) -> None:
    """What was served is asked again without serving it again."""
    engine = await stand.connect_through()
    await stand.soon(engine.serve(stand.address("app"), echo))
    await outage(stand.proxy)

    async def ask() -> Message:
        return await stand.first.request(stand.address("app"), stand.message(b"1"), timeout_s=1.0)

    answer = await again(stand, ask, NoSuchAddress, Unavailable, RequestTimeout)
    assert answer.data == b"1"


async def leaves_members_present(stand: Stand, outage: Outage) -> None:
    """Who was there is there again, with what it told."""
    engine = await stand.connect_through()
    await stand.soon(engine.join(stand.address("app") + "/0", {"version": "3"}))
    await outage(stand.proxy)
    await stand.until(engine, State.CONNECTED)
    # Present in the end: a watch may first see the old connection go.
    changes = await stand.look(stand.first, stand.address("app"))
    change = await anext(changes)
    while change.change is Change.LEFT:
        change = await anext(changes)
    assert change.member.info == {"version": "3"}


BEHAVIOURS: tuple[tuple[Callable[[Stand, Outage], Awaitable[None]], tuple[str, ...]], ...] = (
    (is_seen, ()),
    (leaves_listeners_listening, ()),
    (leaves_workers_working, ("queues",)),
    (never_lets_two_finish_one_job, ("queues",)),
    (loses_no_job_and_repeats_none_that_was_finished, ("queues",)),
    (lets_a_put_be_repeated, ("queues", "dedupe")),
    (leaves_served_addresses_served, ("request",)),
    (leaves_members_present, ("presence",)),
)


def _declare() -> None:
    for outage in OUTAGES:
        for behaviour, needs in BEHAVIOURS:
            check = _both(outage, behaviour)
            promise(*needs, proxied=True, **LIMITS)(check)


def _both(outage: Outage, behaviour: Callable[[Stand, Outage], Awaitable[None]]) -> Check:
    async def check(stand: Stand) -> None:
        await behaviour(stand, outage)

    check.__name__ = f"{outage.__name__}_{behaviour.__name__}"
    check.__module__ = __name__
    return check


_declare()


@promise("presence", proxied=True, **LIMITS)
async def who_left_during_an_outage_is_told_gone(stand: Stand) -> None:
    engine, address = await stand.connect_through(), stand.address("app") + "/0"
    membership = await stand.soon(stand.first.join(address, {}))
    reader = await stand.look(engine, stand.address("app"))
    assert (await anext(reader)).change is Change.JOINED
    await stand.proxy.refuse()
    await stand.until(engine, State.LOST)
    await stand.soon(membership.leave())
    await stand.proxy.accept()
    change = await anext(reader)
    while change.change is not Change.LEFT:
        change = await anext(reader)
    assert change.member.address == address


@promise("queues", proxied=True, **LIMITS)
async def a_call_into_silence_is_lost_in_time(stand: Stand) -> None:
    engine = await stand.connect_through()
    stand.proxy.black_hole()
    try:
        async with asyncio.timeout(LIMITS["call_s"] + 10):
            await engine.put(stand.name("mail"), [Put(message=stand.message())])
    except BusLost:
        return
    finally:
        stand.proxy.heal()
    raise AssertionError("a put into silence was accepted")


@promise(proxied=True, **LIMITS)
async def a_slow_connection_is_not_a_lost_one(stand: Stand) -> None:
    engine = await stand.connect_through()
    stand.proxy.slow(HEARTBEAT_S / 10)
    reader = await stand.listen(engine, stand.name("news"))
    for number in range(10):
        await stand.soon(engine.publish(stand.name("news"), stand.message(b"%d" % number)))
    got = [item.data for item in await reader.many(10) if isinstance(item, Message)]
    await asyncio.sleep(3 * HEARTBEAT_S)
    assert got == [b"%d" % number for number in range(10)]
    assert State.LOST not in stand.states[id(engine)]
