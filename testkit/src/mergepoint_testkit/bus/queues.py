"""Queues: to one who works, until it is done.

Place:  bus.promise -> [bus.queues] -> an engine
Rule:   leases here are long; what happens when one ends stands in bus.leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

import pytest

from mergepoint.bus.contract import Accepted, Lease, Put, QueueStats
from mergepoint.bus.errors import LeaseLost
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


@promise("queues")
async def what_is_put_is_taken(stand: Stand) -> None:
    sent = stand.message(
        b'{"to":"alice"}',
        source="/site/tickets/0",
        type="mail",
        subject="Grüße",
        time="2026-11-21T16:40:00Z",
        extensions={"mprequestid": "r1", "mplanguage": "de"},
    )
    accepted = await stand.soon(stand.first.put(stand.name("mail"), [Put(message=sent)]))
    lease = await stand.take(stand.first, stand.name("mail"))
    assert accepted == [Accepted(id=sent.id)]
    assert lease.message == sent
    assert lease.queue == stand.name("mail")


@promise("queues")
async def any_bytes_are_taken_as_they_were_put(stand: Stand) -> None:
    for data in (b"", bytes(range(256))):
        sent = stand.message(data, datacontenttype="application/octet-stream")
        await stand.soon(stand.first.put(stand.name("bytes"), [Put(message=sent)]))
        lease = await stand.take(stand.first, stand.name("bytes"))
        assert lease.message == sent
        await stand.finish(stand.first, lease)


@promise("queues")
async def another_connection_takes_it(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(other, stand.name("mail"), b"1")
    assert (await stand.take(stand.first, stand.name("mail"))).message.data == b"1"


@promise("queues")
async def jobs_wait_until_somebody_comes(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(other, stand.name("mail"), b"1", b"2")
    await stand.soon(other.close())
    late = await stand.connect()
    leases = await stand.take_count(late, stand.name("mail"), 2)
    assert [lease.message.data for lease in leases] == [b"1", b"2"]


@promise("queues")
async def jobs_come_in_the_order_they_were_put(stand: Stand) -> None:
    numbers = [b"%d" % number for number in range(30)]
    await stand.put(stand.first, stand.name("mail"), *numbers[:15])
    for data in numbers[15:]:
        await stand.put(stand.first, stand.name("mail"), data)
    leases = await stand.take_count(stand.first, stand.name("mail"), 30)
    assert [lease.message.data for lease in leases] == numbers


@promise("queues")
async def each_job_goes_to_one_worker(stand: Stand) -> None:
    engines = [await stand.connect() for _ in range(3)]
    ids = await stand.put(stand.first, stand.name("mail"), *[b"1"] * 30)
    taken: list[str] = []

    async def work(number: int) -> None:
        while len(taken) < len(ids):
            leases = await engines[number].take(
                [stand.name("mail")],
                worker=f"w{number}",
                limit=2,
                lease_s=LONG_S,
                wait_s=stand.source.quiet_s,
            )
            taken.extend(lease.message.id for lease in leases)
            assert await engines[number].ack(leases) == []

    await stand.soon(_all(work(number) for number in range(3)))
    assert sorted(taken) == sorted(ids)


async def _all(coming: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*coming)


@promise("queues")
async def no_more_than_the_limit_is_taken(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), *[b"1"] * 10)
    leases = await stand.take_some([stand.name("mail")], stand.first, limit=3)
    assert 1 <= len(leases) <= 3
    rest = await stand.take_count(await stand.connect(), stand.name("mail"), 10 - len(leases))
    assert len({lease.token for lease in [*leases, *rest]}) == 10


@promise("queues")
async def an_empty_queue_gives_nothing_when_the_wait_is_over(stand: Stand) -> None:
    await stand.none_left(stand.first, stand.name("empty"))


@promise("queues")
async def a_waiting_worker_gets_a_job_as_soon_as_there_is_one(stand: Stand) -> None:
    other = await stand.connect()
    waiting = asyncio.create_task(stand.take(stand.first, stand.name("mail")))
    await stand.passing(stand.source.quiet_s)
    await stand.put(other, stand.name("mail"), b"1")
    assert (await waiting).message.data == b"1"


@promise("queues")
async def every_waiting_worker_gets_a_job(stand: Stand) -> None:
    engines = [await stand.connect() for _ in range(3)]
    waiting = [asyncio.create_task(stand.take(one, stand.name("mail"))) for one in engines]
    await stand.passing(stand.source.quiet_s)
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", b"3")
    leases = await asyncio.gather(*waiting)
    assert sorted(lease.message.data for lease in leases) == [b"1", b"2", b"3"]


@promise("queues")
async def a_cancelled_wait_takes_nothing_with_it(stand: Stand) -> None:
    other = await stand.connect()
    waiting = asyncio.create_task(stand.take(stand.first, stand.name("mail")))
    await stand.passing(stand.source.quiet_s)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stand.put(other, stand.name("mail"), b"1")
    lease = await stand.take(other, stand.name("mail"))
    assert (lease.message.data, lease.attempt) == (b"1", 1)


@promise("queues")
async def a_worker_takes_from_several_queues(stand: Stand) -> None:
    names = [stand.name(word) for word in ("a", "b", "c")]
    for name in names:
        await stand.put(stand.first, name, b"1")
    leases: list[Lease] = []
    while len(leases) < 3:
        leases += await stand.take_some(names, stand.first, limit=3)
    assert sorted(lease.queue for lease in leases) == names
    await stand.finish(stand.first, *leases)


@promise("queues")
async def queues_do_not_mix(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("a"), b"1")
    await stand.none_left(stand.first, stand.name("b"))
    assert (await stand.take(stand.first, stand.name("a"))).message.data == b"1"


@promise("queues")
async def a_finished_job_never_comes_again(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.finish(stand.first, await stand.take(stand.first, stand.name("mail")))
    await stand.none_left(await stand.connect(), stand.name("mail"))


@promise("queues")
async def several_jobs_are_finished_at_once(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), *[b"1"] * 5)
    await stand.finish(stand.first, *await stand.take_count(stand.first, stand.name("mail"), 5))
    await stand.none_left(await stand.connect(), stand.name("mail"))


@promise("queues")
async def finishing_nothing_does_nothing(stand: Stand) -> None:
    assert await stand.soon(stand.first.ack([])) == []


@promise("queues")
async def a_returned_job_comes_again_and_counts(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    for attempt in (1, 2, 3):
        lease = await stand.take(stand.first, stand.name("mail"))
        assert lease.attempt == attempt
        await stand.soon(stand.first.nack(lease, reason="again"))


@promise("queues")
async def a_job_returned_without_a_fault_does_not_count(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", attempts_max=2)
    for _ in range(4):
        lease = await stand.take(stand.first, stand.name("mail"))
        assert lease.attempt == 1
        await stand.soon(stand.first.nack(lease, burn=False))


@promise("queues")
async def a_returned_job_goes_to_any_worker(stand: Stand) -> None:
    other = await stand.connect()
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.soon(stand.first.nack(await stand.take(stand.first, stand.name("mail"))))
    assert (await stand.take(other, stand.name("mail"))).attempt == 2


@promise("queues")
async def a_job_cannot_be_returned_when_it_is_finished(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.finish(stand.first, lease)
    with pytest.raises(LeaseLost):
        await stand.soon(stand.first.nack(lease))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues")
async def queues_are_listed_with_their_counts(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", b"2", b"3")
    lease = await stand.take(stand.first, stand.name("mail"))
    stats = await _stats(stand, stand.name("mail"))
    assert stats.ready == 2
    assert stats.leased in (None, 1)
    assert stats.delayed in (None, 0)
    assert stats.dead in (None, 0)
    await stand.finish(stand.first, lease)


async def _stats(stand: Stand, name: str) -> QueueStats:
    found = [one for one in await stand.soon(stand.first.queues()) if one.name == name]
    assert len(found) == 1
    return found[0]
