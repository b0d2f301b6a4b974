"""Order by key: one at a time, in the order accepted, whatever happens to the one in front.

Place:  bus.promise -> [bus.order] -> an engine
Rule:   nothing is promised between two keys, so nothing is tested between two keys.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from mergepoint.bus.contract import Engine, EntryState
from mergepoint.bus.errors import LeaseLost
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand

SEED = 20261121


async def taken(stand: Stand, engine: Engine | None = None) -> bytes:
    """Take the next job and return what it holds."""
    return (await stand.take(engine or stand.first, stand.name("mail"))).message.data


@promise("queues", "key_order")
async def one_job_of_a_key_is_out_at_a_time(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(await stand.connect(), stand.name("mail"))
    await stand.finish(stand.first, lease)
    assert (lease.message.data, await taken(stand)) == (b"1", b"2")
    assert lease.key == "k"


@promise("queues", "key_order")
async def one_call_takes_one_job_of_a_key(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", b"3", key="k")
    leases = await stand.take_some([stand.name("mail")], stand.first, limit=10)
    assert [lease.message.data for lease in leases] == [b"1"]


@promise("queues", "key_order")
async def other_keys_go_on(stand: Stand) -> None:
    for key in ("a", "b"):
        await stand.put(stand.first, stand.name("mail"), *[key.encode()] * 2, key=key)
    leases = await stand.take_count(stand.first, stand.name("mail"), 2)
    assert sorted(lease.message.data for lease in leases) == [b"a", b"b"]
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "key_order")
async def jobs_without_a_key_go_on(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    await stand.put(stand.first, stand.name("mail"), b"3", b"4")
    leases = await stand.take_count(stand.first, stand.name("mail"), 3)
    assert sorted(lease.message.data for lease in leases) == [b"1", b"3", b"4"]


@promise("queues", "key_order")
async def a_key_of_another_queue_is_another_key(stand: Stand) -> None:
    for word in ("mail", "calls"):
        await stand.put(stand.first, stand.name(word), b"1", key="k")
        await stand.take(stand.first, stand.name(word))


@promise("queues", "key_order")
async def a_returned_job_stays_before_its_successors(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.nack(lease))
    assert await taken(stand) == b"1"


@promise("queues", "key_order", "delay")
async def a_job_returned_with_a_delay_holds_back_its_successors(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.nack(lease, delay_s=stand.short_s))
    assert await taken(stand) == b"1"


@promise("queues", "key_order", "delay")
async def a_delayed_job_holds_back_its_successors(stand: Stand) -> None:
    await stand.put(
        stand.first, stand.name("mail"), b"1", key="k", not_before=stand.now + stand.short_s
    )
    await stand.put(stand.first, stand.name("mail"), b"2", key="k")
    assert await taken(stand) == b"1"


@promise("queues", "key_order")
async def a_job_whose_lease_ended_comes_before_its_successors(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    assert await taken(stand) == b"1"


@promise("queues", "key_order", "lease", kills=True)
async def a_dead_workers_job_comes_before_its_successors(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    await stand.take(other, stand.name("mail"))
    await stand.kill(other)
    assert await taken(stand) == b"1"


@promise("queues", "key_order", "priority")
async def priority_does_not_break_the_order_of_a_key(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", key="k", priority=0)
    await stand.put(stand.first, stand.name("mail"), b"2", key="k", priority=9)
    assert await taken(stand) == b"1"


@promise("queues", "key_order", "dead_letters")
async def a_dead_job_lets_its_successors_go(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.bury(lease, reason="bad"))
    assert await taken(stand) == b"2"


@promise("queues", "key_order", "browse", "delay")
async def a_dropped_job_lets_its_successors_go(stand: Stand) -> None:
    (first,) = await stand.put(
        stand.first, stand.name("mail"), b"1", key="k", not_before=stand.now + LONG_S
    )
    await stand.put(stand.first, stand.name("mail"), b"2", key="k")
    await stand.none_left(stand.first, stand.name("mail"))
    assert await stand.soon(stand.first.drop(stand.name("mail"), [first])) == 1
    assert await taken(stand) == b"2"


@promise("queues", "key_order", "browse")
async def what_waits_behind_its_key_is_seen_as_ready(stand: Stand) -> None:
    ids = await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    await stand.take(stand.first, stand.name("mail"))
    (entry,) = await stand.soon(stand.first.browse(stand.name("mail"), states=[EntryState.READY]))
    assert (entry.message.id, entry.key) == (ids[1], "k")


@promise("queues", "key_order")
async def many_workers_keep_the_order_of_many_keys(stand: Stand) -> None:
    chance = random.Random(SEED)
    keys = {f"k{number}": 0 for number in range(8)}
    order = [key for key in keys for _ in range(5)]
    chance.shuffle(order)
    for key in order:
        keys[key] += 1
        await stand.put(
            stand.first, stand.name("mail"), b"%d" % keys[key], key=key, attempts_max=100
        )
    finished: dict[str, list[int]] = {key: [] for key in keys}

    async def work(number: int) -> None:
        engine = await stand.connect()
        while sum(map(len, finished.values())) < len(order):
            for lease in await engine.take(
                [stand.name("mail")],
                worker=f"w{number}",
                limit=3,
                lease_s=LONG_S,
                wait_s=stand.source.quiet_s,
            ):
                await asyncio.sleep(chance.random() / 1000)
                if chance.random() < 0.2:
                    await engine.nack(lease)
                    continue
                finished[lease.key].append(int(lease.message.data))
                assert await engine.ack([lease]) == []

    await asyncio.gather(*(stand.soon(work(number)) for number in range(3)))
    assert finished == {key: [1, 2, 3, 4, 5] for key in keys}


@promise("queues", "key_order")
async def a_lost_lease_does_not_let_the_successor_go(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", key="k")
    old = await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    await stand.take(await stand.connect(), stand.name("mail"))
    assert await stand.soon(stand.first.ack([old])) == [old]
    with pytest.raises(LeaseLost):
        await stand.soon(stand.first.nack(old))
    await stand.none_left(stand.first, stand.name("mail"))
