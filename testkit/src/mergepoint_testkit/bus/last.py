"""Last-value topics: the present state first, then what changes.

Place:  bus.promise -> [bus.last] -> an engine
Rule:   a value is kept for who comes later, whoever published it.
"""

from __future__ import annotations

from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import Stand
from mergepoint_testkit.bus.topics import datas


async def keep(stand: Stand, word: str, data: bytes) -> None:
    """Make this the topic's present value."""
    await stand.soon(stand.first.publish(stand.name(word), stand.message(data), keep_last=True))


@promise("last")
async def a_topic_without_a_value_has_none(stand: Stand) -> None:
    assert await stand.soon(stand.first.last(stand.name("none"))) is None


@promise("last")
async def the_kept_value_is_returned(stand: Stand) -> None:
    sent = stand.message(b"1", subject="s", extensions={"mpkey": "k"})
    await stand.soon(stand.first.publish(stand.name("count"), sent, keep_last=True))
    other = await stand.connect()
    assert await stand.soon(other.last(stand.name("count"))) == sent


@promise("last")
async def a_later_value_replaces_it(stand: Stand) -> None:
    for data in (b"1", b"2", b"3"):
        await keep(stand, "count", data)
    kept = await stand.soon(stand.first.last(stand.name("count")))
    assert kept is not None
    assert kept.data == b"3"


@promise("last")
async def an_ordinary_message_leaves_it(stand: Stand) -> None:
    await keep(stand, "count", b"1")
    await stand.soon(stand.first.publish(stand.name("count"), stand.message(b"2")))
    kept = await stand.soon(stand.first.last(stand.name("count")))
    assert kept is not None
    assert kept.data == b"1"


@promise("last")
async def a_value_outlives_who_published_it(stand: Stand) -> None:
    other = await stand.connect()
    sent = stand.message(b"1")
    await stand.soon(other.publish(stand.name("count"), sent, keep_last=True))
    await stand.soon(other.close())
    assert await stand.soon(stand.first.last(stand.name("count"))) == sent


@promise("last")
async def a_new_listener_gets_the_value_first(stand: Stand) -> None:
    await keep(stand, "count", b"1")
    reader = await stand.listen(stand.first, stand.name("count"), last=True)
    await keep(stand, "count", b"2")
    assert datas(await reader.many(2)) == [b"1", b"2"]


@promise("last")
async def a_listener_to_a_pattern_gets_every_value_first(stand: Stand) -> None:
    await keep(stand, "room.a", b"1")
    await keep(stand, "room.b", b"2")
    await keep(stand, "hall", b"3")
    reader = await stand.listen(stand.first, stand.name("room.*"), last=True)
    assert sorted(datas(await reader.many(2))) == [b"1", b"2"]
    await keep(stand, "room.a", b"4")
    assert datas(await reader.many(1)) == [b"4"]


@promise("last")
async def who_did_not_ask_gets_no_old_value(stand: Stand) -> None:
    await keep(stand, "count", b"1")
    reader = await stand.listen(stand.first, stand.name("count"))
    await keep(stand, "count", b"2")
    assert datas(await reader.many(1)) == [b"2"]


@promise("last")
async def a_topic_without_a_value_begins_with_the_first_message(stand: Stand) -> None:
    reader = await stand.listen(stand.first, stand.name("none"), last=True)
    await stand.soon(stand.first.publish(stand.name("none"), stand.message(b"1")))
    assert datas(await reader.many(1)) == [b"1"]
