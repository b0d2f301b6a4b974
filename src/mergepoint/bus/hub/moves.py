"""From one small table to another: ready, delayed, held back by its key, gone.

Place:  bus.hub.arrivals, bus.hub.holding, bus.hub.letters -> [bus.hub.moves]
Rule:   inside the caller's transaction; counts of the queue change with its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mergepoint.bus.hub import rules
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue
from mergepoint.bus.hub.rules import Where
from mergepoint.bus.hub.schema import BY_WALL


class Beside(NamedTuple):
    """What may be kept beside a message."""

    seq: int
    key: str
    expires_at: float
    troubled: bool = True


def make_ready(parts: Parts, queue: Queue, seq: int, priority: int) -> None:
    """Let it be taken."""
    parts.db.execute(
        "INSERT INTO ready VALUES (?, ?, ?)", (queue.number, rules.rank(priority), seq)
    )
    queue.waiting += 1
    parts.woken.add(queue)


def delay(parts: Parts, queue: Queue, seq: int, base: int, due: float) -> None:
    """Let it wait until `due`, as the clock `base` says."""
    parts.db.execute("INSERT INTO delayed VALUES (?, ?, ?, ?)", (seq, queue.number, base, due))
    queue.delayed += 1
    parts.dues_changed = True


def settle(
    parts: Parts, queue: Queue, seq: int, priority: int, not_before: float, *, behind: bool
) -> None:
    """Put it where it belongs."""
    where = rules.place(not_before=not_before, unix_s=parts.unix_s, behind=behind)
    if where is Where.DELAYED:
        delay(parts, queue, seq, BY_WALL, not_before)
    elif where is Where.READY:
        make_ready(parts, queue, seq, priority)
    else:
        queue.waiting += 1


def leave(parts: Parts, queue: Queue, seq: int, priority: int, *, delayed: bool) -> None:
    """Take it out of where it waits; it is nowhere then."""
    parts.queues.touch(queue)
    if delayed:
        parts.db.execute("DELETE FROM delayed WHERE seq = ?", (seq,))
        queue.delayed -= 1
        return
    parts.db.execute(
        "DELETE FROM ready WHERE queue = ? AND rank = ? AND seq = ?",
        (queue.number, rules.rank(priority), seq),
    )
    queue.waiting -= 1


def forget(parts: Parts, queue: Queue, gone: Sequence[Beside]) -> None:
    """Remove what is kept beside messages that are gone; the next of their keys may go."""
    for seq, key, expires_at, troubled in gone:
        if troubled:
            parts.db.execute("DELETE FROM trouble WHERE seq = ?", (seq,))
        if expires_at:
            parts.db.execute("DELETE FROM expiring WHERE at = ? AND seq = ?", (expires_at, seq))
        if key:
            _next_of_key(parts, queue, key, seq)


def first_of_key(parts: Parts, queue: Queue, key: str) -> int | None:
    """Return the oldest message of this key."""
    (seq,) = parts.db.execute(
        "SELECT min(seq) FROM keyed WHERE queue = ? AND key = ?", (queue.number, key)
    ).fetchone()
    return seq if isinstance(seq, int) else None


def _next_of_key(parts: Parts, queue: Queue, key: str, gone_seq: int) -> None:
    was_first = first_of_key(parts, queue, key) == gone_seq
    parts.db.execute(
        "DELETE FROM keyed WHERE queue = ? AND key = ? AND seq = ?", (queue.number, key, gone_seq)
    )
    # One that waited behind others leaves the first where it is.
    seq = first_of_key(parts, queue, key) if was_first else None
    if seq is None:
        return
    priority, not_before = parts.db.execute(
        "SELECT priority, not_before FROM messages WHERE seq = ?", (seq,)
    ).fetchone()
    queue.waiting -= 1
    settle(parts, queue, seq, priority, not_before, behind=False)
