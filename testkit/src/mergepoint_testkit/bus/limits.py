"""Bounds: what fits goes through, what does not is refused, and nothing is lost by it.

Place:  bus.promise -> [bus.limits] -> an engine
Rule:   past a bound the answer is an error a person can read, and work goes on.
"""

from __future__ import annotations

import pytest

from mergepoint.bus.contract import Put
from mergepoint.bus.errors import BusFull, MessageTooLarge
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.requests import ask, echo
from mergepoint_testkit.bus.stand import Stand


def largest(stand: Stand) -> bytes:
    """Return data as large as may be, with room for the envelope in a carrier that counts it."""
    return b"x" * (stand.first.capabilities.message_bytes_max - 8 * 1024)


@promise()
async def the_largest_message_is_published(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("a"))
    sent = stand.message(largest(stand), datacontenttype="application/octet-stream")
    await stand.soon(stand.first.publish(stand.name("a"), sent))
    got = await anext(reader)
    assert isinstance(got, Message)
    assert got == sent


@promise("queues")
async def the_largest_message_is_queued(stand: Stand) -> None:
    sent = stand.message(largest(stand), datacontenttype="application/octet-stream")
    await stand.soon(stand.first.put(stand.name("a"), [Put(message=sent)]))
    assert (await stand.take(stand.first, stand.name("a"))).message == sent


@promise("request")
async def the_largest_request_is_answered(stand: Stand) -> None:
    await stand.soon((await stand.connect()).serve(stand.address("app"), echo))
    assert await ask(stand, stand.first, stand.address("app"), largest(stand)) == largest(stand)


@promise(message_bytes_max=1000)
async def a_message_that_is_too_large_is_not_published(stand: Stand) -> None:
    engine = await stand.connect()
    reader = await stand.listen(stand.first, stand.name("a"))
    with pytest.raises(MessageTooLarge) as caught:
        await stand.soon(engine.publish(stand.name("a"), stand.message(b"x" * 2000)))
    await stand.soon(engine.publish(stand.name("a"), stand.message(b"1")))
    got = await anext(reader)
    assert isinstance(got, Message)
    assert got.data == b"1"
    assert "1000" in caught.value.message.replace(",", "").replace(" ", "")


@promise("request", message_bytes_max=1000)
async def a_request_that_is_too_large_is_not_sent(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(stand.first.serve(stand.address("app"), echo))
    with pytest.raises(MessageTooLarge):
        await ask(stand, engine, stand.address("app"), b"x" * 2000)


@promise("queues", queue_messages_max=3)
async def a_full_queue_refuses_and_keeps_what_it_has(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.put(engine, stand.name("a"), b"1", b"2", b"3")
    with pytest.raises(BusFull):
        await stand.put(engine, stand.name("a"), b"4")
    leases = await stand.take_count(stand.first, stand.name("a"), 3)
    assert [lease.message.data for lease in leases] == [b"1", b"2", b"3"]
    await stand.finish(stand.first, *leases)


@promise("queues", queue_messages_max=2)
async def a_full_queue_accepts_again_when_there_is_room(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.put(engine, stand.name("a"), b"1", b"2")
    with pytest.raises(BusFull):
        await stand.put(engine, stand.name("a"), b"3")
    leases = await stand.take_count(stand.first, stand.name("a"), 2)
    await stand.finish(stand.first, *leases)
    await stand.put(engine, stand.name("a"), b"4")
    assert (await stand.take(stand.first, stand.name("a"))).message.data == b"4"


@promise("queues", queue_messages_max=3)
async def a_put_that_does_not_fit_whole_is_refused_whole(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.put(engine, stand.name("a"), b"1", b"2")
    with pytest.raises(BusFull):
        await stand.put(engine, stand.name("a"), b"3", b"4")
    leases = await stand.take_count(stand.first, stand.name("a"), 2)
    await stand.none_left(stand.first, stand.name("a"))
    assert [lease.message.data for lease in leases] == [b"1", b"2"]


@promise("queues", queue_messages_max=1)
async def a_full_queue_leaves_the_others_open(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.put(engine, stand.name("a"), b"1")
    with pytest.raises(BusFull):
        await stand.put(engine, stand.name("a"), b"2")
    await stand.put(engine, stand.name("b"), b"3")
    assert (await stand.take(engine, stand.name("b"))).message.data == b"3"


@promise("queues", "dedupe", queue_messages_max=1)
async def a_repeat_is_answered_though_the_queue_is_full(stand: Stand) -> None:
    engine = await stand.connect()
    put = Put(message=stand.message(b"1"))
    await stand.soon(engine.put(stand.name("a"), [put]))
    (again,) = await stand.soon(engine.put(stand.name("a"), [put]))
    assert again.duplicate
