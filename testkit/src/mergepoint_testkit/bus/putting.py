"""How a job wants to be treated: later, first, once, or not after.

Place:  bus.promise -> [bus.putting] -> an engine
Rule:   what must not come yet lies a minute away, what must come is awaited.
"""

from __future__ import annotations

import asyncio

import pytest

from mergepoint.bus.contract import Put
from mergepoint.bus.errors import MessageTooLarge
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


@promise("queues", "delay")
async def a_delayed_job_is_not_taken_before_its_time(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", not_before=stand.now + LONG_S)
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "delay")
async def a_delayed_job_comes_when_it_is_due(stand: Stand) -> None:
    due = stand.now + stand.short_s
    await stand.put(stand.first, stand.name("mail"), b"1", not_before=due)
    lease = await stand.take(stand.first, stand.name("mail"))
    assert stand.now >= due - 0.002
    assert lease.attempt == 1


@promise("queues", "delay")
async def a_delayed_job_does_not_hold_back_others(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", not_before=stand.now + LONG_S)
    await stand.put(stand.first, stand.name("mail"), b"2")
    assert (await stand.take(stand.first, stand.name("mail"))).message.data == b"2"


@promise("queues", "delay")
async def every_delayed_job_comes_and_none_too_early(stand: Stand) -> None:
    due = {b"%d" % steps: stand.now + steps * stand.short_s for steps in (3, 1, 2)}
    for data, not_before in due.items():
        await stand.put(stand.first, stand.name("mail"), data, not_before=not_before)
    for _ in due.copy():
        lease = await stand.take(stand.first, stand.name("mail"))
        assert stand.now >= due.pop(lease.message.data) - 0.002
    assert due == {}


@promise("queues", "delay")
async def a_time_that_has_passed_is_no_delay(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", not_before=stand.now - LONG_S)
    await stand.take(stand.first, stand.name("mail"))


@promise("queues", "delay")
async def a_job_returned_with_a_delay_waits(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.nack(lease, delay_s=LONG_S))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "delay")
async def a_job_returned_with_a_delay_comes_again(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    returned = stand.now
    await stand.soon(stand.first.nack(lease, delay_s=stand.short_s))
    again = await stand.take(stand.first, stand.name("mail"))
    assert again.attempt == 2
    assert stand.now >= returned + stand.short_s - 0.002


@promise("queues", "priority")
async def a_higher_priority_goes_first(stand: Stand) -> None:
    for priority in (2, 9, 0, 5):
        await stand.put(stand.first, stand.name("mail"), b"%d" % priority, priority=priority)
    leases = [await stand.take(stand.first, stand.name("mail")) for _ in range(4)]
    assert [lease.message.data for lease in leases] == [b"9", b"5", b"2", b"0"]


@promise("queues", "priority")
async def equal_priorities_keep_their_order(stand: Stand) -> None:
    for number in range(6):
        await stand.put(stand.first, stand.name("mail"), b"%d" % number, priority=9 * (number % 2))
    leases = [await stand.take(stand.first, stand.name("mail")) for _ in range(6)]
    assert [lease.message.data for lease in leases] == [b"1", b"3", b"5", b"0", b"2", b"4"]


@promise("queues", "dedupe")
async def an_id_is_accepted_once(stand: Stand) -> None:
    put = Put(message=stand.message(b"1"))
    first = await stand.soon(stand.first.put(stand.name("mail"), [put]))
    second = await stand.soon(stand.first.put(stand.name("mail"), [put]))
    assert [one.duplicate for one in (*first, *second)] == [False, True]
    await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "dedupe")
async def an_id_is_accepted_once_within_one_call(stand: Stand) -> None:
    put = Put(message=stand.message(b"1"))
    accepted = await stand.soon(stand.first.put(stand.name("mail"), [put, put]))
    assert [one.duplicate for one in accepted] == [False, True]
    await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "dedupe")
async def an_id_stays_known_when_its_job_is_finished(stand: Stand) -> None:
    put = Put(message=stand.message(b"1"))
    await stand.soon(stand.first.put(stand.name("mail"), [put]))
    await stand.finish(stand.first, await stand.take(stand.first, stand.name("mail")))
    (again,) = await stand.soon(stand.first.put(stand.name("mail"), [put]))
    assert again.duplicate
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "dedupe")
async def an_id_put_by_two_at_once_is_accepted_once(stand: Stand) -> None:
    engines = [await stand.connect() for _ in range(4)]
    put = Put(message=stand.message(b"1"))
    answers = await asyncio.gather(
        *(stand.soon(engine.put(stand.name("mail"), [put])) for engine in engines)
    )
    assert sorted(one.duplicate for (one,) in answers) == [False, True, True, True]
    await stand.take(stand.first, stand.name("mail"))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "dedupe")
async def an_id_may_be_used_in_two_queues(stand: Stand) -> None:
    put = Put(message=stand.message(b"1"))
    for word in ("a", "b"):
        (accepted,) = await stand.soon(stand.first.put(stand.name(word), [put]))
        assert not accepted.duplicate
        await stand.take(stand.first, stand.name(word))


@promise("queues", "dedupe", dedupe_s=0.5)
async def an_id_is_forgotten_in_time(stand: Stand) -> None:
    engine = await stand.connect()
    put = Put(message=stand.message(b"1"))
    await stand.soon(engine.put(stand.name("mail"), [put]))
    async with asyncio.timeout(stand.source.patience_s):
        while True:
            await stand.passing(stand.short_s)
            (again,) = await stand.soon(engine.put(stand.name("mail"), [put]))
            if not again.duplicate:
                return


@promise("queues", "dead_letters")
async def a_job_that_expired_is_dead(stand: Stand) -> None:
    (expired,) = await stand.put(
        stand.first, stand.name("mail"), b"1", expires_at=stand.now + stand.short_s
    )
    await stand.passing(2 * stand.short_s)
    await stand.none_left(stand.first, stand.name("mail"))
    (entry,) = await stand.soon(stand.first.dead(stand.name("mail")))
    assert (entry.message.id, entry.reason) == (expired, "expired")


@promise("queues")
async def a_job_that_has_not_expired_is_taken(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", expires_at=stand.now + LONG_S)
    await stand.take(stand.first, stand.name("mail"))


@promise("queues", message_bytes_max=1000)
async def all_of_a_put_are_accepted_or_none(stand: Stand) -> None:
    engine = await stand.connect()
    puts = [Put(message=stand.message(data)) for data in (b"1", b"2" * 5000, b"3")]
    with pytest.raises(MessageTooLarge):
        await stand.soon(engine.put(stand.name("mail"), puts))
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues")
async def putting_nothing_does_nothing(stand: Stand) -> None:
    assert await stand.soon(stand.first.put(stand.name("mail"), [])) == []
