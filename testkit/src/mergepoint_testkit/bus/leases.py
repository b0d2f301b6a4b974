"""Leases: a job in somebody's hands, and the token that fences.

Place:  bus.promise -> [bus.leases] -> an engine
Rule:   nothing of a lost lease is ever applied, in whatever order things happen.
"""

from __future__ import annotations

import pytest

from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import LeaseLost, NotCapable
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


async def lost(stand: Stand) -> tuple[Lease, Lease]:
    """Return a lease of the first connection that ended, and the one that came after it."""
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    old = await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    new = await stand.take(other, stand.name("mail"), worker="other")
    return old, new


async def still_held(stand: Stand, lease: Lease) -> None:
    """Fail unless this lease can be held on to, and its job is with nobody else."""
    engine = stand.last
    assert await stand.soon(engine.extend([lease], LONG_S)) == []
    await stand.none_left(stand.first, lease.queue)
    await stand.finish(engine, lease)


@promise("queues")
async def a_job_is_with_one_worker_at_a_time(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(await stand.connect(), stand.name("mail"))


@promise("queues")
async def a_lease_says_when_it_ends(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    before = stand.now
    lease = await stand.take(stand.first, stand.name("mail"), lease_s=LONG_S)
    assert before + LONG_S - 5 <= lease.expires_at <= stand.now + LONG_S + 5
    assert lease.token


@promise("queues")
async def a_job_comes_back_when_its_lease_ends(stand: Stand) -> None:
    old, new = await lost(stand)
    assert new.message == old.message
    assert (old.attempt, new.attempt) == (1, 2)


@promise("queues")
async def a_lease_is_not_given_away_before_it_ends(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    await stand.take(await stand.connect(), stand.name("mail"))
    assert stand.now >= lease.expires_at - 0.05


@promise("queues")
async def no_token_comes_twice(stand: Stand) -> None:
    tokens = set()
    for queue in (stand.name("mail"), stand.name("calls")):
        await stand.put(stand.first, queue, b"1", attempts_max=10)
        for _ in range(5):
            lease = await stand.take(stand.first, queue)
            tokens.add(lease.token)
            await stand.soon(stand.first.nack(lease))
    assert len(tokens) == 10


@promise("queues")
async def an_extended_lease_holds(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"), lease_s=5 * stand.short_s)
    assert await stand.soon(stand.first.extend([lease], LONG_S)) == []
    await stand.passing(7 * stand.short_s)
    await stand.none_left(other, stand.name("mail"))
    await stand.finish(stand.first, lease)


@promise("queues")
async def a_lease_extended_again_and_again_holds(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"), lease_s=4 * stand.short_s)
    for _ in range(12):
        await stand.passing(stand.short_s / 2)
        assert await stand.soon(stand.first.extend([lease], 4 * stand.short_s)) == []
    await stand.none_left(other, stand.name("mail"))
    await stand.finish(stand.first, lease)


@promise("queues")
async def an_extended_lease_ends_in_its_turn(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"), lease_s=LONG_S)
    await stand.soon(stand.first.extend([lease], stand.short_s))
    assert (await stand.take(await stand.connect(), stand.name("mail"))).attempt == 2


@promise("queues")
async def finishing_tells_which_leases_were_lost(stand: Stand) -> None:
    old, new = await lost(stand)
    assert await stand.soon(stand.first.ack([old])) == [old]
    await still_held(stand, new)


@promise("queues")
async def finishing_some_lost_and_some_held_finishes_the_held(stand: Stand) -> None:
    old, new = await lost(stand)
    await stand.put(stand.first, stand.name("mail"), b"2")
    held = await stand.take(stand.first, stand.name("mail"))
    assert await stand.soon(stand.first.ack([old, held])) == [old]
    await still_held(stand, new)
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues")
async def a_lost_lease_cannot_be_returned(stand: Stand) -> None:
    old, new = await lost(stand)
    with pytest.raises(LeaseLost):
        await stand.soon(stand.first.nack(old))
    await still_held(stand, new)


@promise("queues", "dead_letters")
async def a_lost_lease_cannot_be_buried(stand: Stand) -> None:
    old, new = await lost(stand)
    with pytest.raises(LeaseLost):
        await stand.soon(stand.first.bury(old, reason="late"))
    assert await stand.soon(stand.first.dead(stand.name("mail"))) == []
    await still_held(stand, new)


@promise("queues")
async def a_lost_lease_cannot_be_extended(stand: Stand) -> None:
    old, new = await lost(stand)
    assert await stand.soon(stand.first.extend([old], LONG_S)) == [old]
    await still_held(stand, new)


@promise("queues")
async def a_lease_that_ended_is_lost_even_if_nobody_has_the_job(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    old = await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    new = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.nack(new))
    assert await stand.soon(stand.first.ack([old])) == [old]
    again = await stand.take(stand.first, stand.name("mail"))
    assert again.attempt == 3


@promise("queues", "lease", kills=True)
async def a_dead_worker_returns_its_job_before_the_lease_ends(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(other, stand.name("mail"), lease_s=100 * LONG_S)
    await stand.kill(other)
    lease = await stand.take(stand.first, stand.name("mail"))
    assert (lease.message.data, lease.attempt) == (b"1", 2)


@promise("queues", "lease", kills=True)
async def a_dead_worker_returns_its_job_though_another_has_its_name(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(other, stand.name("mail"), lease_s=100 * LONG_S, worker="tickets/0")
    await stand.kill(other)
    lease = await stand.take(stand.first, stand.name("mail"), worker="tickets/0")
    assert (lease.message.data, lease.attempt) == (b"1", 2)


@promise("queues", kills=True)
async def a_dead_workers_job_comes_back_with_its_lease_at_the_latest(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(other, stand.name("mail"), lease_s=5 * stand.short_s)
    await stand.kill(other)
    assert (await stand.take(stand.first, stand.name("mail"))).message.data == b"1"


@promise("queues")
async def closing_gives_jobs_back_without_counting(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(other, stand.name("mail"), lease_s=100 * LONG_S)
    await stand.soon(other.close())
    assert (await stand.take(stand.first, stand.name("mail"))).attempt == 1


@promise("queues")
async def burying_is_final_or_refused(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    try:
        await stand.soon(stand.first.bury(lease, reason="bad"))
    except NotCapable:
        return
    await stand.none_left(stand.first, stand.name("mail"))
