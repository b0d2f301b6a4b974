"""Live topics: to all who listen now, in order, and losses are told.

Place:  bus.promise -> [bus.topics] -> an engine
Rule:   what must not come has a marker sent behind it: the marker comes first, so it did not.
"""

from __future__ import annotations

import asyncio

from mergepoint.bus.contract import Gap, Overflow
from mergepoint.bus.errors import BusRefused, NotCapable
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import Reader, Stand


def datas(items: list[Message | Gap]) -> list[bytes]:
    """Return what messages hold; fail at a gap."""
    assert not [item for item in items if isinstance(item, Gap)]
    return [item.data for item in items if isinstance(item, Message)]


async def only_the_marker(stand: Stand, pattern: str, *others: str, marker: str) -> None:
    """Fail unless a subscription to the pattern gets the marker's topic and no other."""
    reader = await stand.listen(stand.first, pattern)
    for topic in others:
        await stand.soon(stand.first.publish(topic, stand.message(b'"other"')))
    await stand.soon(stand.first.publish(marker, stand.message(b'"marker"')))
    assert datas(await reader.many(1)) == [b'"marker"']


@promise()
async def a_listener_receives_what_is_published(stand: Stand) -> None:
    other = await stand.connect()
    reader = await stand.listen(stand.first, stand.name("news"))
    await stand.soon(other.publish(stand.name("news"), stand.message(b"1")))
    assert datas(await reader.many(1)) == [b"1"]


@promise()
async def a_listener_hears_its_own_connection(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("news"))
    await stand.soon(stand.first.publish(stand.name("news"), stand.message(b"1")))
    assert datas(await reader.many(1)) == [b"1"]


@promise()
async def every_listener_receives_every_message(stand: Stand) -> None:
    engines = [stand.first, await stand.connect(), await stand.connect()]
    readers = [await stand.listen(engine, stand.name("news")) for engine in engines]
    for number in range(5):
        await stand.soon(stand.first.publish(stand.name("news"), stand.message(b"%d" % number)))
    for reader in readers:
        assert datas(await reader.many(5)) == [b"0", b"1", b"2", b"3", b"4"]


@promise()
async def publishing_to_nobody_succeeds(stand: Stand) -> None:
    await stand.soon(stand.first.publish(stand.name("nobody"), stand.message()))


@promise()
async def messages_of_a_publisher_keep_their_order(stand: Stand) -> None:
    other = await stand.connect()
    reader = await stand.listen(stand.first, stand.name("order"))
    for number in range(200):
        await stand.soon(other.publish(stand.name("order"), stand.message(b"%d" % number)))
    assert datas(await reader.many(200)) == [b"%d" % number for number in range(200)]


@promise()
async def nothing_published_after_subscribe_returned_is_missed(stand: Stand) -> None:
    other = await stand.connect()
    for number in range(10):
        topic = stand.name(f"race{number}")
        reader = await stand.listen(stand.first, topic)
        await stand.soon(other.publish(topic, stand.message(b"%d" % number)))
        assert datas(await reader.many(1)) == [b"%d" % number]


@promise()
async def nothing_published_before_is_received(stand: Stand) -> None:
    await stand.soon(stand.first.publish(stand.name("news"), stand.message(b'"early"')))
    await only_the_marker(stand, stand.name("news"), marker=stand.name("news"))


@promise()
async def a_name_matches_itself_alone(stand: Stand) -> None:
    name = stand.name("news")
    await only_the_marker(stand, name, name + "s", name + ".a", stand.name("new"), marker=name)


@promise()
async def a_star_matches_exactly_one_segment(stand: Stand) -> None:
    name = stand.name("a")
    await only_the_marker(stand, f"{name}.*", name, f"{name}.b.c", marker=f"{name}.b")


@promise()
async def a_star_in_the_middle_matches_exactly_one_segment(stand: Stand) -> None:
    name = stand.name("a")
    others = (f"{name}.c", f"{name}.b.b.c", f"{name}.b.d")
    await only_the_marker(stand, f"{name}.*.c", *others, marker=f"{name}.b.c")


@promise()
async def a_final_angle_matches_one_segment(stand: Stand) -> None:
    name = stand.name("a")
    await only_the_marker(stand, f"{name}.>", name, stand.name("b"), marker=f"{name}.b")


@promise()
async def a_final_angle_matches_many_segments(stand: Stand) -> None:
    name = stand.name("a")
    await only_the_marker(stand, f"{name}.>", name, marker=f"{name}.b.c.d")


@promise()
async def two_patterns_of_one_connection_both_receive(stand: Stand) -> None:
    name = stand.name("a")
    readers = [await stand.listen(stand.first, pattern) for pattern in (f"{name}.*", f"{name}.b")]
    await stand.soon(stand.first.publish(f"{name}.b", stand.message(b"1")))
    for reader in readers:
        assert datas(await reader.many(1)) == [b"1"]


@promise()
async def two_listeners_of_one_connection_both_receive(stand: Stand) -> None:
    readers = [await stand.listen(stand.first, stand.name("a")) for _ in range(2)]
    await stand.soon(stand.first.publish(stand.name("a"), stand.message(b"1")))
    for reader in readers:
        assert datas(await reader.many(1)) == [b"1"]


@promise()
async def the_envelope_arrives_as_it_was_sent(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("news"))
    sent = stand.message(
        b'{"a":1}',
        source="/site/tickets/0",
        type="tickets.created",
        subject="Grüße/42",
        time="2026-11-21T16:40:00.123456Z",
        extensions={"mpkey": "k", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
    )
    await stand.soon(stand.first.publish(stand.name("news"), sent))
    assert await anext(reader) == sent


@promise()
async def any_bytes_arrive_as_they_were_sent(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("news"))
    for data in (b"", bytes(range(256)), b"\r\n\x00" * 100):
        sent = stand.message(data, datacontenttype="application/octet-stream")
        await stand.soon(stand.first.publish(stand.name("news"), sent))
        assert await anext(reader) == sent


@promise()
async def a_closed_subscription_ends_its_iteration(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("news"))
    await stand.soon(reader.source.close())
    await reader.end()


@promise()
async def closing_a_subscription_twice_does_nothing(stand: Stand) -> None:
    subscription = await stand.soon(stand.first.subscribe(stand.name("news")))
    await stand.soon(subscription.close())
    await stand.soon(subscription.close())


@promise()
async def closing_one_subscription_leaves_the_others(stand: Stand) -> None:
    kept = await stand.listen(stand.first, stand.name("news"))
    closed = await stand.soon(stand.first.subscribe(stand.name("news")))
    await stand.soon(closed.close())
    await stand.soon(stand.first.publish(stand.name("news"), stand.message(b"1")))
    assert datas(await kept.many(1)) == [b"1"]


@promise(buffer_messages_max=20)
async def a_slow_listener_is_told_how_many_it_missed(stand: Stand) -> None:
    slow = await stand.connect()
    subscription = await stand.soon(slow.subscribe(stand.name("flood")))
    for number in range(500):
        await stand.soon(stand.first.publish(stand.name("flood"), stand.message(b"%d" % number)))
    await _counted(stand.read(subscription), 500)


@promise(buffer_bytes_max=64 * 1024)
async def a_listener_slow_in_bytes_is_told_how_many_it_missed(stand: Stand) -> None:
    slow = await stand.connect()
    subscription = await stand.soon(slow.subscribe(stand.name("flood")))
    for number in range(100):
        data = (b"%d" % number).ljust(8 * 1024)
        await stand.soon(stand.first.publish(stand.name("flood"), stand.message(data)))
    await _counted(stand.read(subscription), 100)


@promise(buffer_messages_max=5)
async def a_slow_listener_goes_on_behind_its_gap(stand: Stand) -> None:
    slow = await stand.connect()
    subscription = await stand.soon(slow.subscribe(stand.name("flood")))
    for number in range(50):
        await stand.soon(stand.first.publish(stand.name("flood"), stand.message(b"%d" % number)))
    reader = stand.read(subscription)
    await _counted(reader, 50)
    await stand.soon(stand.first.publish(stand.name("flood"), stand.message(b'"on"')))
    assert datas(await reader.many(1)) == [b'"on"']


async def _counted(reader: Reader[Message | Gap], sent: int) -> None:
    """Fail unless what came and what was told missing is what was sent, in order."""
    received, lost, numbers = 0, 0, [-1]
    while received + lost < sent:
        item = await anext(reader)
        if isinstance(item, Gap):
            assert item.lost > 0, "the engine did not lose its connection and can count"
            lost += item.lost
        else:
            received += 1
            numbers.append(int(item.data))
    assert received + lost == sent
    assert numbers == sorted(set(numbers)), "in order, none twice"


@promise(buffer_messages_max=100)
async def a_slow_listener_does_not_take_from_a_fast_one(stand: Stand) -> None:
    slow = await stand.connect()
    await stand.soon(slow.subscribe(stand.name("flood")))
    reader = await stand.listen(await stand.connect(), stand.name("flood"))
    for first in range(0, 500, 50):
        numbers = [b"%d" % number for number in range(first, first + 50)]
        for data in numbers:
            await stand.soon(stand.first.publish(stand.name("flood"), stand.message(data)))
        assert datas(await reader.many(50)) == numbers


@promise(buffer_messages_max=5)
async def waiting_instead_of_gaps_loses_nothing_or_is_refused(stand: Stand) -> None:
    slow = await stand.connect()
    try:
        subscription = await stand.soon(slow.subscribe(stand.name("flood"), overflow=Overflow.WAIT))
    except (NotCapable, BusRefused):
        return
    publishing = asyncio.create_task(_publish(stand, 50))
    reader = stand.read(subscription)
    assert datas(await reader.many(50)) == [b"%d" % number for number in range(50)]
    await stand.soon(_finished(publishing))


async def _publish(stand: Stand, count: int) -> None:
    for number in range(count):
        await stand.first.publish(stand.name("flood"), stand.message(b"%d" % number))


async def _finished(task: asyncio.Task[None]) -> None:
    await task
