"""Presence: who is there, and whoever is gone is told gone.

Place:  bus.promise -> [bus.presence] -> an engine
Rule:   a watch begins with everybody present; then every change, once.
"""

from __future__ import annotations

from mergepoint.bus.contract import Change, Member, PresenceChange
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import Reader, Stand


def told(change: PresenceChange) -> tuple[Change, str]:
    """Return what happened to whom."""
    return change.change, change.member.address


async def mine(stand: Stand, reader: Reader[PresenceChange]) -> PresenceChange:
    """Return the next change of an address of this test: `*` sees those of others too."""
    async for change in reader:
        if change.member.address.startswith(stand.address("")):
            return change
    raise AssertionError("the watch ended")


@promise("presence")
async def who_joins_is_seen(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    other = await stand.connect()
    await stand.soon(other.join(stand.address("app") + "/0", {"version": "3"}))
    change = await anext(reader)
    assert told(change) == (Change.JOINED, stand.address("app") + "/0")
    assert change.member.info == {"version": "3"}


@promise("presence")
async def who_is_there_is_seen_first(stand: Stand) -> None:
    other = await stand.connect()
    for number in range(3):
        await stand.soon(other.join(f"{stand.address('app')}/{number}", {"n": str(number)}))
    reader = await stand.look(stand.first, stand.address("app"))
    changes = await reader.many(3)
    assert {change.change for change in changes} == {Change.JOINED}
    assert sorted(change.member.info["n"] for change in changes) == ["0", "1", "2"]


@promise("presence")
async def a_member_says_since_when_it_is_there(stand: Stand) -> None:
    before = stand.now
    await stand.soon(stand.first.join(stand.address("app") + "/0", {}))
    member: Member = (await anext(await stand.look(stand.first, stand.address("app")))).member
    assert before - 5 <= member.since <= stand.now + 5


@promise("presence")
async def who_leaves_is_seen(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    other = await stand.connect()
    membership = await stand.soon(other.join(stand.address("app") + "/0", {}))
    await stand.soon(membership.leave())
    assert [told(change)[0] for change in await reader.many(2)] == [Change.JOINED, Change.LEFT]


@promise("presence")
async def leaving_twice_does_nothing(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    membership = await stand.soon(stand.first.join(stand.address("app") + "/0", {}))
    await stand.soon(membership.leave())
    await stand.soon(membership.leave())
    await stand.soon(stand.first.join(stand.address("app") + "/1", {}))
    changes = [told(change)[0] for change in await reader.many(3)]
    assert changes == [Change.JOINED, Change.LEFT, Change.JOINED]


@promise("presence")
async def what_a_member_tells_may_change(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    membership = await stand.soon(stand.first.join(stand.address("app") + "/0", {"n": "1"}))
    await stand.soon(membership.update({"n": "2", "ü": "ß"}))
    changes = await reader.many(2)
    assert [change.change for change in changes] == [Change.JOINED, Change.UPDATED]
    assert changes[1].member.info == {"n": "2", "ü": "ß"}


@promise("presence")
async def an_app_is_watched_without_its_neighbours(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    await stand.soon(stand.first.join(stand.address("apple") + "/0", {}))
    await stand.soon(stand.first.join(stand.address("app") + "/0", {}))
    assert told(await anext(reader)) == (Change.JOINED, stand.address("app") + "/0")


@promise("presence")
async def a_star_watches_everybody(stand: Stand) -> None:
    reader = await stand.look(stand.first, "*")
    other = await stand.connect()
    await stand.soon(other.join(stand.address("a") + "/0", {}))
    await stand.soon(other.join(stand.address("b") + "/0", {}))
    seen = [told(await mine(stand, reader)) for _ in range(2)]
    assert seen == [
        (Change.JOINED, stand.address("a") + "/0"),
        (Change.JOINED, stand.address("b") + "/0"),
    ]


@promise("presence")
async def every_watch_is_told(stand: Stand) -> None:
    readers = [
        await stand.look(engine, stand.address("app"))
        for engine in (stand.first, stand.first, await stand.connect())
    ]
    await stand.soon(stand.first.join(stand.address("app") + "/0", {}))
    for reader in readers:
        assert told(await anext(reader))[0] is Change.JOINED


@promise("presence")
async def closing_a_connection_leaves(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    other = await stand.connect()
    await stand.soon(other.join(stand.address("app") + "/0", {}))
    await stand.soon(other.close())
    assert [told(change)[0] for change in await reader.many(2)] == [Change.JOINED, Change.LEFT]


@promise("presence", kills=True)
async def who_was_killed_is_seen_to_be_gone(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    victim = await stand.connect()
    await stand.soon(victim.join(stand.address("app") + "/0", {}))
    assert told(await anext(reader))[0] is Change.JOINED
    await stand.kill(victim)
    assert told(await anext(reader)) == (Change.LEFT, stand.address("app") + "/0")


@promise("presence")
async def a_closed_watch_ends(stand: Stand) -> None:
    reader = await stand.look(stand.first, stand.address("app"))
    await stand.soon(reader.source.close())
    await reader.end()
