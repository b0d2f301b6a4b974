"""Messages that come, become due, run out of time, or are withdrawn.

Place:  bus.hub.store -> [bus.hub.arrivals] -> bus.hub.moves, bus.hub.seen
Rule:   inside the caller's transaction; a put is accepted whole or refused before it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mergepoint.bus.errors import BusFull
from mergepoint.bus.hub import rules
from mergepoint.bus.hub.letters import bury
from mergepoint.bus.hub.moves import Beside, first_of_key, forget, leave, make_ready, settle
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue
from mergepoint.bus.hub.schema import BY_AGE, BY_WALL
from mergepoint.bus.hub.seen import note, note_if_all_new, which_are_new

BATCH_MAX = 500
"""Rows of one step of promoting or expiring; the rest follows in the next group."""


class NewEntry(NamedTuple):
    """A message that is to be put, as it came: its attributes and data are bytes to the hub."""

    id: str
    attributes: bytes
    data: bytes
    key: str = ""
    priority: int = 4
    not_before: float = 0.0
    expires_at: float = 0.0
    attempts_max: int = 0


def put(parts: Parts, queue: Queue, entries: Sequence[NewEntry]) -> list[bool]:
    """Accept these; return for each whether it is a duplicate and was dropped.

    Raises `BusFull`, before anything is written, when the new ones do not all fit.
    """
    ids = [entry.id for entry in entries]
    first = parts.next_seq(len(entries))
    has_room = queue.messages + len(entries) <= parts.limits.queue_messages_max
    if has_room and note_if_all_new(parts, queue, first, ids):
        insert(parts, queue, list(enumerate(entries, first)))
        return [False] * len(entries)
    duplicates, over = which_are_new(parts, queue, ids)
    fresh = [
        (seq, entry)
        for seq, (entry, duplicate) in enumerate(zip(entries, duplicates, strict=True), first)
        if not duplicate
    ]
    if fresh:
        refuse_full(parts, queue, len(fresh))
        note(parts, queue, [(seq, entry.id) for seq, entry in fresh], over)
        insert(parts, queue, fresh)
    return duplicates


def refuse_full(parts: Parts, queue: Queue, more: int) -> None:
    """Raise `BusFull` when the queue has no room for `more`."""
    most = parts.limits.queue_messages_max
    if queue.messages + more > most:
        raise BusFull(
            f"queue {queue.name}: {queue.messages} messages and {more} more; it takes {most}",
            next="let its workers catch up, or raise queue_messages_max",
        )


def insert(parts: Parts, queue: Queue, fresh: Sequence[tuple[int, NewEntry]]) -> None:
    """Write these under their numbers, and put each where it belongs."""
    parts.queues.touch(queue)
    unix_s = parts.unix_s
    number = queue.number
    usual = parts.limits.attempts_max
    rows = []
    plain = []
    special = []
    for seq, entry in fresh:
        id_, attributes, data, key, priority, not_before, expires_at, attempts_max = entry
        most = attempts_max or usual
        row = (seq, number, id_, key, priority, not_before, expires_at, most, unix_s)
        rows.append((*row, attributes, data))
        queue.bytes += len(attributes) + len(data)
        if key or expires_at or not_before > unix_s:
            special.append((seq, entry))
        else:
            plain.append((number, rules.rank(priority), seq))
    parts.db.executemany("INSERT INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
    if plain:
        parts.db.executemany("INSERT INTO ready VALUES (?, ?, ?)", plain)
        queue.waiting += len(plain)
        parts.woken.add(queue)
    for seq, entry in special:
        _insert_special(parts, queue, seq, entry)


def promote(parts: Parts) -> int:
    """Make ready what is due; return how many there were, `BATCH_MAX` at most."""
    moved = 0
    for base, now in ((BY_WALL, parts.unix_s), (BY_AGE, parts.age_s)):
        due = parts.db.execute(
            "SELECT d.seq, d.queue, m.priority FROM delayed d JOIN messages m USING (seq)"
            " WHERE d.base = ? AND d.due <= ? ORDER BY d.due, d.seq LIMIT ?",
            (base, now, BATCH_MAX - moved),
        ).fetchall()
        for seq, number, priority in due:
            queue = parts.queues.numbered(number)
            leave(parts, queue, seq, priority, delayed=True)
            make_ready(parts, queue, seq, priority)
        moved += len(due)
    return moved


def expire(parts: Parts) -> int:
    """Bury what was not taken in time; return how many rows that took, `BATCH_MAX` at most."""
    over = parts.db.execute(
        "SELECT e.seq, e.at, m.queue, m.key, m.priority, coalesce(t.attempt, 0),"
        " l.seq IS NOT NULL, d.seq IS NOT NULL"
        " FROM expiring e JOIN messages m USING (seq) LEFT JOIN trouble t USING (seq)"
        " LEFT JOIN leases l ON l.seq = e.seq LEFT JOIN delayed d ON d.seq = e.seq"
        " WHERE e.at <= ? ORDER BY e.at, e.seq LIMIT ?",
        (parts.unix_s, BATCH_MAX),
    ).fetchall()
    for seq, at, number, key, priority, attempt, leased, delayed in over:
        queue = parts.queues.numbered(number)
        if leased:
            # In time after all; if it is given back, `rules.returned` remembers.
            parts.db.execute("DELETE FROM expiring WHERE at = ? AND seq = ?", (at, seq))
            continue
        leave(parts, queue, seq, priority, delayed=bool(delayed))
        bury(parts, queue, seq, reason=rules.EXPIRED, attempt=attempt)
        forget(parts, queue, [Beside(seq, key, at)])
        parts.woken.add(queue)
    return len(over)


def first_due(parts: Parts) -> tuple[float | None, float | None, float | None]:
    """Return the next `not_before` (wall), delay (age) and `expires_at` (wall)."""
    first = "SELECT min(due) FROM delayed WHERE base = ?"
    (wall,) = parts.db.execute(first, (BY_WALL,)).fetchone()
    (age,) = parts.db.execute(first, (BY_AGE,)).fetchone()
    (expires,) = parts.db.execute("SELECT min(at) FROM expiring").fetchone()
    return wall, age, expires


def drop(parts: Parts, queue: Queue, seqs: Sequence[int]) -> int:
    """Remove these of a queue for good, unless they are leased; return how many."""
    dropped = 0
    for seq in seqs:
        row = parts.db.execute(
            "SELECT m.key, m.priority, m.expires_at, length(m.attributes) + length(m.data),"
            " d.seq IS NOT NULL FROM messages m LEFT JOIN delayed d USING (seq)"
            " WHERE m.seq = ? AND m.queue = ?"
            " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.seq = m.seq)",
            (seq, queue.number),
        ).fetchone()
        if row is None:
            continue
        key, priority, expires_at, size, delayed = row
        leave(parts, queue, seq, priority, delayed=bool(delayed))
        parts.db.execute("DELETE FROM messages WHERE seq = ?", (seq,))
        queue.bytes -= size
        forget(parts, queue, [Beside(seq, key, expires_at)])
        dropped += 1
    return dropped


def _insert_special(parts: Parts, queue: Queue, seq: int, entry: NewEntry) -> None:
    behind = False
    if entry.key:
        behind = first_of_key(parts, queue, entry.key) is not None
        parts.db.execute("INSERT INTO keyed VALUES (?, ?, ?)", (queue.number, entry.key, seq))
    if entry.expires_at:
        parts.db.execute("INSERT INTO expiring VALUES (?, ?)", (entry.expires_at, seq))
    parts.dues_changed = True
    settle(parts, queue, seq, entry.priority, entry.not_before, behind=behind)
