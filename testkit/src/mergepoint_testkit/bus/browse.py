"""Looking at what waits without taking it.

Place:  bus.promise -> [bus.browse] -> an engine
Rule:   looking changes nothing.
"""

from __future__ import annotations

from mergepoint.bus.contract import Entry, EntryState
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


async def seen(stand: Stand, *states: EntryState, **how: object) -> list[Entry]:
    """Return the entries in these states."""
    browsing = stand.first.browse(stand.name("mail"), states=states, **how)  # type: ignore[arg-type]
    return await stand.soon(browsing)


@promise("queues", "browse")
async def what_waits_is_seen_and_still_taken(stand: Stand) -> None:
    ids = await stand.put(stand.first, stand.name("mail"), b"1", b"2")
    entries = await seen(stand, EntryState.READY)
    assert [entry.message.id for entry in entries] == ids
    assert {entry.state for entry in entries} == {EntryState.READY}
    leases = await stand.take_count(stand.first, stand.name("mail"), 2)
    assert [lease.attempt for lease in leases] == [1, 1]


@promise("queues", "browse", "delay")
async def what_is_delayed_is_seen_with_its_time(stand: Stand) -> None:
    due = stand.now + LONG_S
    await stand.put(stand.first, stand.name("mail"), b"1", not_before=due)
    assert await seen(stand, EntryState.READY) == []
    (entry,) = await seen(stand, EntryState.DELAYED)
    assert abs(entry.not_before - due) < 0.01


@promise("queues", "browse")
async def what_is_leased_is_seen_with_its_worker(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    await stand.take(stand.first, stand.name("mail"), worker="tickets-0")
    assert await seen(stand, EntryState.READY) == []
    (entry,) = await seen(stand, EntryState.LEASED)
    assert (entry.worker, entry.attempt) == ("tickets-0", 1)


@promise("queues", "browse", "dead_letters")
async def what_is_dead_is_seen_too(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.bury(lease, reason="bad"))
    (entry,) = await seen(stand, EntryState.DEAD)
    assert entry.reason == "bad"


@promise("queues", "browse")
async def what_was_returned_is_seen_with_its_reason(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.nack(lease, reason="no answer"))
    (entry,) = await seen(stand, EntryState.READY)
    assert (entry.reason, entry.attempt) == ("no answer", 1)


@promise("queues", "browse")
async def a_queue_is_seen_page_by_page(stand: Stand) -> None:
    ids = await stand.put(stand.first, stand.name("mail"), *[b"1"] * 7)
    found: list[str] = []
    while page := await seen(stand, EntryState.READY, limit=3, after=found[-1] if found else ""):
        assert len(page) <= 3
        found += [entry.message.id for entry in page]
    assert found == ids


@promise("queues", "browse")
async def an_unknown_queue_is_seen_empty(stand: Stand) -> None:
    assert await seen(stand, *EntryState) == []


@promise("queues", "browse")
async def dropped_messages_are_not_taken(stand: Stand) -> None:
    ids = await stand.put(stand.first, stand.name("mail"), b"1", b"2", b"3")
    gone = await stand.soon(stand.first.drop(stand.name("mail"), [ids[0], ids[2], "unknown"]))
    lease = await stand.take(stand.first, stand.name("mail"))
    assert (gone, lease.message.id) == (2, ids[1])
    await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "browse", "delay")
async def a_delayed_message_can_be_dropped(stand: Stand) -> None:
    (id_,) = await stand.put(stand.first, stand.name("mail"), b"1", not_before=stand.now + LONG_S)
    assert await stand.soon(stand.first.drop(stand.name("mail"), [id_])) == 1
    assert await seen(stand, *EntryState) == []


@promise("queues", "browse")
async def a_leased_message_is_not_dropped(stand: Stand) -> None:
    (id_,) = await stand.put(stand.first, stand.name("mail"), b"1")
    lease = await stand.take(stand.first, stand.name("mail"))
    assert await stand.soon(stand.first.drop(stand.name("mail"), [id_])) == 0
    await stand.finish(stand.first, lease)
