"""Dead letters: kept, listed, replayed, discarded.

Place:  bus.hub.store, bus.hub.arrivals, bus.hub.holding -> [bus.hub.letters]
Rule:   inside the caller's transaction; a letter leaves by a person's word, its age or the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mergepoint.bus.errors import NoSuchEntry
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue

TRIM_MAX = 200
"""Letters removed by one step; the rest follows."""
REASON_CHARACTERS_MAX = 2_000


class Letter(NamedTuple):
    """A dead message as it is kept."""

    place: int
    id: str
    key: str
    priority: int
    attempts_max: int
    attempt: int
    reason: str
    at: float
    attributes: bytes
    data: bytes


_COLUMNS = "place, id, key, priority, attempts_max, attempt, reason, at, attributes, data"


def bury(parts: Parts, queue: Queue, seq: int, *, reason: str, attempt: int) -> None:
    """Move a message that waits nowhere any more among the dead."""
    parts.queues.touch(queue)
    db = parts.db
    values = (attempt, reason[:REASON_CHARACTERS_MAX], parts.unix_s, parts.age_s, seq)
    db.execute(
        "INSERT INTO dead SELECT NULL, queue, id, key, priority, attempts_max, ?, ?, ?, ?,"
        " attributes, data FROM messages WHERE seq = ?",
        values,
    )
    (size,) = db.execute(
        "SELECT length(attributes) + length(data) FROM messages WHERE seq = ?", (seq,)
    ).fetchone()
    db.execute("DELETE FROM messages WHERE seq = ?", (seq,))
    queue.bytes -= size
    queue.dead += 1
    over = queue.dead - parts.limits.dead_messages_max
    if over > 0:
        _remove_oldest(parts, queue, over)


def listed(parts: Parts, queue: Queue, *, limit: int, after: str) -> list[Letter]:
    """Return letters, oldest first, behind the id `after`; behind nothing if it is gone."""
    place = 0
    if after:
        row = parts.db.execute(
            "SELECT max(place) FROM dead WHERE queue = ? AND id = ?", (queue.number, after)
        ).fetchone()
        place = row[0] or 0
    rows = parts.db.execute(
        f"SELECT {_COLUMNS} FROM dead WHERE queue = ? AND place > ? ORDER BY place LIMIT ?",  # noqa: S608
        (queue.number, place, limit),
    )
    return [Letter(*row) for row in rows]


def pick(parts: Parts, queue: Queue, id_: str) -> Letter:
    """Take the oldest letter of this id out; raise `NoSuchEntry`."""
    row = parts.db.execute(
        f"SELECT {_COLUMNS} FROM dead WHERE queue = ? AND id = ? ORDER BY place LIMIT 1",  # noqa: S608
        (queue.number, id_),
    ).fetchone()
    if row is None:
        raise NoSuchEntry(
            f"queue {queue.name}: no dead letter {id_}", next="mergepoint deadletters"
        )
    letter = Letter(*row)
    parts.queues.touch(queue)
    parts.db.execute("DELETE FROM dead WHERE place = ?", (letter.place,))
    queue.dead -= 1
    return letter


def discard(parts: Parts, queue: Queue, ids: Sequence[str]) -> int:
    """Remove letters for good; return how many there were."""
    parts.queues.touch(queue)
    gone = sum(
        parts.db.execute(
            "DELETE FROM dead WHERE queue = ? AND id = ?", (queue.number, id_)
        ).rowcount
        for id_ in ids
    )
    queue.dead -= gone
    return gone


def trim(parts: Parts) -> int:
    """Remove letters older than `dead_s`; return how many, `TRIM_MAX` at most."""
    rows = parts.db.execute(
        "SELECT place, queue, age FROM dead ORDER BY place LIMIT ?", (TRIM_MAX,)
    ).fetchall()
    gone = [
        (place, number) for place, number, age in rows if age + parts.limits.dead_s <= parts.age_s
    ]
    for place, number in gone:
        queue = parts.queues.numbered(number)
        parts.queues.touch(queue)
        queue.dead -= 1
        parts.db.execute("DELETE FROM dead WHERE place = ?", (place,))
    return len(gone)


def _remove_oldest(parts: Parts, queue: Queue, count: int) -> None:
    gone = parts.db.execute(
        "DELETE FROM dead WHERE place IN"
        " (SELECT place FROM dead WHERE queue = ? ORDER BY place LIMIT ?)",
        (queue.number, min(count, TRIM_MAX)),
    ).rowcount
    queue.dead -= gone
