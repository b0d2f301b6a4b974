"""Dead letters: set aside, kept, listed, replayed, discarded.

Place:  bus.promise -> [bus.dead_letters] -> an engine
Rule:   a message ends done, dead or discarded; it never vanishes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mergepoint.bus.contract import Entry, EntryState
from mergepoint.bus.errors import NoSuchEntry
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import LONG_S, Stand


async def buried(stand: Stand, *words: str, reason: str = "bad") -> list[str]:
    """Bury one message for each of these, in this order; return their ids."""
    ids = []
    for word in words:
        ids += await stand.put(stand.first, stand.name("mail"), word.encode())
        lease = await stand.take(stand.first, stand.name("mail"))
        await stand.soon(stand.first.bury(lease, reason=reason))
    return ids


async def dead(stand: Stand, queue: str = "mail", **how: object) -> list[Entry]:
    """Return the dead letters."""
    return await stand.soon(stand.first.dead(stand.name(queue), **how))  # type: ignore[arg-type]


@promise("queues", "dead_letters")
async def a_job_is_dead_after_its_last_attempt(stand: Stand) -> None:
    (id_,) = await stand.put(stand.first, stand.name("mail"), b"1", attempts_max=2)
    for _ in range(2):
        assert await dead(stand) == []
        lease = await stand.take(stand.first, stand.name("mail"))
        await stand.soon(stand.first.nack(lease, reason="it failed"))
    await stand.none_left(stand.first, stand.name("mail"))
    (entry,) = await dead(stand)
    assert (entry.message.id, entry.reason, entry.state) == (id_, "it failed", EntryState.DEAD)
    assert entry.attempt == 2


@promise("queues", "dead_letters", attempts_max=3)
async def the_limit_of_the_bus_is_the_default(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.put(engine, stand.name("mail"), b"1")
    for attempt in (1, 2, 3):
        lease = await stand.take(engine, stand.name("mail"))
        assert lease.attempt == attempt
        await stand.soon(engine.nack(lease))
    await stand.none_left(engine, stand.name("mail"))
    assert len(await dead(stand)) == 1


@promise("queues", "dead_letters")
async def leases_that_end_are_attempts(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", attempts_max=2)
    for _ in range(2):
        await stand.take(stand.first, stand.name("mail"), lease_s=stand.short_s)
    await stand.passing(2 * stand.short_s)
    await stand.none_left(stand.first, stand.name("mail"))
    (entry,) = await dead(stand)
    assert entry.reason


@promise("queues", "dead_letters", "lease", kills=True)
async def a_job_that_kills_its_workers_is_dead_in_the_end(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", attempts_max=2)
    for _ in range(2):
        victim = await stand.connect()
        await stand.take(victim, stand.name("mail"), lease_s=100 * LONG_S)
        await stand.kill(victim)
    async with stand.patience():
        while not await dead(stand):
            await stand.none_left(stand.first, stand.name("mail"))


@promise("queues", "dead_letters")
async def a_return_without_a_fault_never_kills(stand: Stand) -> None:
    await stand.put(stand.first, stand.name("mail"), b"1", attempts_max=1)
    for _ in range(3):
        lease = await stand.take(stand.first, stand.name("mail"))
        await stand.soon(stand.first.nack(lease, burn=False))
    assert await dead(stand) == []


@promise("queues", "dead_letters")
async def a_buried_job_is_dead_at_once(stand: Stand) -> None:
    (id_,) = await buried(stand, "1", reason="no such customer")
    await stand.none_left(stand.first, stand.name("mail"))
    (entry,) = await dead(stand)
    assert (entry.message.id, entry.reason) == (id_, "no such customer")
    assert entry.queue == stand.name("mail")


@promise("queues", "dead_letters")
async def a_dead_letter_is_the_message_that_was_put(stand: Stand) -> None:
    await buried(stand, "1")
    (entry,) = await dead(stand)
    assert entry.message == replace(stand.message(b"1"), id=entry.message.id)


@promise("queues", "dead_letters")
async def dead_letters_are_listed_oldest_first(stand: Stand) -> None:
    ids = await buried(stand, "1", "2", "3")
    assert [entry.message.id for entry in await dead(stand)] == ids


@promise("queues", "dead_letters")
async def dead_letters_are_listed_page_by_page(stand: Stand) -> None:
    ids = await buried(stand, "1", "2", "3", "4", "5")
    seen: list[str] = []
    while page := await dead(stand, limit=2, after=seen[-1] if seen else ""):
        assert len(page) <= 2
        seen += [entry.message.id for entry in page]
    assert seen == ids


@promise("queues", "dead_letters")
async def dead_letters_of_queues_do_not_mix(stand: Stand) -> None:
    await buried(stand, "1")
    assert await dead(stand, "other") == []


@promise("queues", "dead_letters")
async def every_connection_sees_them(stand: Stand) -> None:
    ids = await buried(stand, "1")
    other = await stand.connect()
    entries = await stand.soon(other.dead(stand.name("mail")))
    assert [entry.message.id for entry in entries] == ids


@promise("queues", "dead_letters")
async def a_replayed_letter_comes_with_fresh_attempts(stand: Stand) -> None:
    (id_,) = await buried(stand, "1")
    await stand.soon(stand.first.replay(stand.name("mail"), id_))
    lease = await stand.take(stand.first, stand.name("mail"))
    assert (lease.message.id, lease.message.data, lease.attempt) == (id_, b"1", 1)
    assert await dead(stand) == []


@promise("queues", "dead_letters")
async def a_replayed_letter_may_be_repaired(stand: Stand) -> None:
    (id_,) = await buried(stand, "1")
    (entry,) = await dead(stand)
    repaired = replace(entry.message, data=b"2")
    await stand.soon(stand.first.replay(stand.name("mail"), id_, repaired))
    lease = await stand.take(stand.first, stand.name("mail"))
    assert lease.message == repaired


@promise("queues", "dead_letters")
async def a_letter_is_replayed_once(stand: Stand) -> None:
    (id_,) = await buried(stand, "1")
    await stand.soon(stand.first.replay(stand.name("mail"), id_))
    with pytest.raises(NoSuchEntry):
        await stand.soon(stand.first.replay(stand.name("mail"), id_))


@promise("queues", "dead_letters")
async def a_letter_that_is_not_there_cannot_be_replayed(stand: Stand) -> None:
    with pytest.raises(NoSuchEntry):
        await stand.soon(stand.first.replay(stand.name("mail"), "unknown"))


@promise("queues", "dead_letters")
async def replaying_one_leaves_the_others(stand: Stand) -> None:
    ids = await buried(stand, "1", "2", "3")
    await stand.soon(stand.first.replay(stand.name("mail"), ids[1]))
    assert [entry.message.id for entry in await dead(stand)] == [ids[0], ids[2]]


@promise("queues", "dead_letters")
async def a_replayed_letter_may_die_again(stand: Stand) -> None:
    (id_,) = await buried(stand, "1")
    await stand.soon(stand.first.replay(stand.name("mail"), id_))
    lease = await stand.take(stand.first, stand.name("mail"))
    await stand.soon(stand.first.bury(lease, reason="still bad"))
    assert [entry.reason for entry in await dead(stand)] == ["still bad"]


@promise("queues", "dead_letters")
async def discarded_letters_are_gone(stand: Stand) -> None:
    ids = await buried(stand, "1", "2", "3")
    gone = await stand.soon(stand.first.discard(stand.name("mail"), [ids[0], ids[2], "unknown"]))
    assert gone == 2
    assert [entry.message.id for entry in await dead(stand)] == [ids[1]]


@promise("queues", "dead_letters")
async def dead_letters_are_counted(stand: Stand) -> None:
    await buried(stand, "1", "2")
    (stats,) = [
        one for one in await stand.soon(stand.first.queues()) if one.name == stand.name("mail")
    ]
    assert stats.dead in (None, 2)
    assert stats.ready == 0
