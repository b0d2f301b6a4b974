"""Queues looked at: what waits, how many, since when; nothing is taken.

Place:  bus.hub.store -> [bus.hub.looking]
Rule:   reads alone, by index, `limit` rows at most; counts are kept, never counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from typing import NamedTuple

from mergepoint.bus.contract import PRIORITY_MAX, PRIORITY_MIN, EntryState, QueueStats
from mergepoint.bus.hub import letters, seen
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue


class Found(NamedTuple):
    """A message as it was found."""

    state: EntryState
    attempt: int
    not_before: float
    priority: int
    key: str
    worker: str
    reason: str
    at: float
    attributes: bytes
    data: bytes


def browse(
    parts: Parts, queue: Queue, *, states: Collection[EntryState], limit: int, after: str
) -> list[Found]:
    """Return what is there, in the order of acceptance, then the dead; behind the id `after`."""
    live = seen.find(parts, queue, after) if after else []
    after_seq = max(live, default=0)
    found: list[Found] = []
    if not after or _is_here(parts, after_seq):
        found = _live(parts, queue, states, limit, after_seq)
        after = ""
    if EntryState.DEAD in states and len(found) < limit:
        rest = letters.listed(parts, queue, limit=limit - len(found), after=after)
        found += [_dead(letter) for letter in rest]
    return found


def stats(parts: Parts, queue: Queue) -> QueueStats:
    """Return how a queue stands."""
    return QueueStats(
        name=queue.name,
        ready=queue.waiting,
        delayed=queue.delayed,
        leased=queue.leased,
        dead=queue.dead,
        oldest_s=_oldest_s(parts, queue) if queue.waiting else None,
        bytes=queue.bytes,
    )


def _oldest_s(parts: Parts, queue: Queue) -> float | None:
    seqs = [seq for rank in _ranks() for seq in _ready(parts, queue, 0, 1, rank)]
    if not seqs:
        return None
    (at,) = parts.db.execute("SELECT at FROM messages WHERE seq = ?", (min(seqs),)).fetchone()
    return max(0.0, parts.unix_s - float(at))


def _live(
    parts: Parts, queue: Queue, states: Collection[EntryState], limit: int, after_seq: int
) -> list[Found]:
    sources: list[Iterable[int]] = []
    if EntryState.READY in states:
        sources += [_ready(parts, queue, after_seq, limit, rank) for rank in _ranks()]
        sources.append(_held_back(parts, queue, after_seq, later=False))
    if EntryState.DELAYED in states:
        sources.append(_held_back(parts, queue, after_seq, later=True))
        sources.append(_delayed(parts, queue, after_seq, limit))
    if EntryState.LEASED in states:
        mine = (held.seq for held in parts.leases if held.queue is queue)
        sources.append(sorted(seq for seq in mine if seq > after_seq))
    return [_entry(parts, seq) for _, seq in zip(range(limit), heapq.merge(*sources), strict=False)]


def _ranks() -> range:
    return range(PRIORITY_MAX - PRIORITY_MIN + 1)


def _ready(parts: Parts, queue: Queue, after_seq: int, limit: int, rank: int) -> list[int]:
    rows = parts.db.execute(
        "SELECT seq FROM ready WHERE queue = ? AND rank = ? AND seq > ? ORDER BY seq LIMIT ?",
        (queue.number, rank, after_seq, limit),
    )
    return [seq for (seq,) in rows]


def _held_back(parts: Parts, queue: Queue, after_seq: int, *, later: bool) -> list[int]:
    """Return what waits for an older one of its key; `later`: and would be delayed anyway."""
    rows = parts.db.execute(
        "SELECT k.seq FROM keyed k JOIN messages m USING (seq) WHERE k.queue = ? AND k.seq > ?"
        " AND k.seq > (SELECT min(f.seq) FROM keyed f WHERE f.queue = k.queue AND f.key = k.key)"
        " AND (m.not_before > ?) = ? ORDER BY k.seq",
        (queue.number, after_seq, parts.unix_s, later),
    )
    return [seq for (seq,) in rows]


def _delayed(parts: Parts, queue: Queue, after_seq: int, limit: int) -> list[int]:
    rows = parts.db.execute(
        "SELECT seq FROM delayed WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?",
        (queue.number, after_seq, limit),
    )
    return [seq for (seq,) in rows]


def _is_here(parts: Parts, seq: int) -> bool:
    return parts.db.execute("SELECT 1 FROM messages WHERE seq = ?", (seq,)).fetchone() is not None


def _entry(parts: Parts, seq: int) -> Found:
    row = parts.db.execute(
        "SELECT m.priority, m.key, m.not_before, m.at, m.attributes, m.data,"
        " t.attempt, t.reason, t.at, l.worker, l.attempt, l.at, d.base, d.due"
        " FROM messages m LEFT JOIN trouble t USING (seq) LEFT JOIN leases l ON l.seq = m.seq"
        " LEFT JOIN delayed d ON d.seq = m.seq WHERE m.seq = ?",
        (seq,),
    ).fetchone()
    priority, key, not_before, at, attributes, data, *rest = row
    attempt, reason, returned_at, worker, lease_attempt, taken_at, base, due = rest
    state = EntryState.READY
    if worker is not None:
        state = EntryState.LEASED
    elif base is not None:
        state = EntryState.DELAYED
        not_before = due - parts.age_s + parts.unix_s if base else due
    elif not_before > parts.unix_s:
        state = EntryState.DELAYED
    return Found(
        state=state,
        attempt=lease_attempt or attempt or 0,
        not_before=not_before,
        priority=priority,
        key=key,
        worker=worker or "",
        reason=reason or "",
        at=taken_at or returned_at or at,
        attributes=attributes,
        data=data,
    )


def _dead(letter: letters.Letter) -> Found:
    return Found(
        state=EntryState.DEAD,
        attempt=letter.attempt,
        not_before=0.0,
        priority=letter.priority,
        key=letter.key,
        worker="",
        reason=letter.reason,
        at=letter.at,
        attributes=letter.attributes,
        data=letter.data,
    )
