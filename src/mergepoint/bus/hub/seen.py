"""Ids that were accepted: each once within `dedupe_s`.

Place:  bus.hub.arrivals -> [bus.hub.seen]
Rule:   the unique index decides; a row stays until its window ended and its message is gone.

`again` marks an id that was accepted anew after its window while an older message of it may still
wait: then, and only then, finding messages by their id has to look through the queue.
"""

from __future__ import annotations

from collections.abc import Sequence

from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue

PURGE_MAX = 2_000
"""Rows looked at by one step of purging."""
IDS_MAX = 64
"""Ids of one SELECT."""


def which_are_new(parts: Parts, queue: Queue, ids: Sequence[str]) -> tuple[list[bool], set[str]]:
    """Return for each id whether it is a duplicate, and those whose window is over."""
    known = _known(parts, queue, ids)
    if not known and len(set(ids)) == len(ids):
        return [False] * len(ids), set()
    duplicates = []
    over = set()
    mine: set[str] = set()
    for id_ in ids:
        window = known.get(id_)
        duplicate = id_ in mine or (window is not None and window > parts.age_s)
        duplicates.append(duplicate)
        if not duplicate and window is not None:
            over.add(id_)
        mine.add(id_)
    return duplicates, over


def note_if_all_new(parts: Parts, queue: Queue, first_seq: int, ids: Sequence[str]) -> bool:
    """Begin the windows of ids numbered from `first_seq`; False, and nothing noted, if one is
    known or comes twice.
    """
    until = parts.age_s + parts.limits.dedupe_s
    number = queue.number
    rows = [(seq, number, id_, until) for seq, id_ in enumerate(ids, first_seq)]
    # One statement instead of a look and a note: nearly all ids are new.
    noted = parts.db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?, 0)", rows)
    if noted.rowcount == len(rows):
        return True
    if noted.rowcount:
        parts.db.execute("DELETE FROM seen WHERE seq >= ?", (first_seq,))
    return False


def note(parts: Parts, queue: Queue, fresh: Sequence[tuple[int, str]], over: set[str]) -> None:
    """Begin the window of ids that are new, under the numbers of their messages."""
    for id_ in over:
        parts.db.execute("DELETE FROM seen WHERE queue = ? AND id = ?", (queue.number, id_))
    until = parts.age_s + parts.limits.dedupe_s
    number = queue.number
    rows = [(seq, number, id_, until, id_ in over) for seq, id_ in fresh]
    parts.db.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?)", rows)


def note_again(parts: Parts, queue: Queue, id_: str, seq: int) -> None:
    """Let `seq` be what is found by this id, whatever was before."""
    until = parts.age_s + parts.limits.dedupe_s
    parts.db.execute("DELETE FROM seen WHERE queue = ? AND id = ?", (queue.number, id_))
    parts.db.execute("INSERT INTO seen VALUES (?, ?, ?, ?, 1)", (seq, queue.number, id_, until))


def find(parts: Parts, queue: Queue, id_: str) -> list[int]:
    """Return the numbers of every message of this id that may be in the queue."""
    row = parts.db.execute(
        "SELECT seq, again FROM seen WHERE queue = ? AND id = ?", (queue.number, id_)
    ).fetchone()
    if row is None:
        return []
    seq, again = row
    if not again:
        return [seq]
    rows = parts.db.execute(
        "SELECT seq FROM messages WHERE queue = ? AND id = ? ORDER BY seq", (queue.number, id_)
    )
    return [found for (found,) in rows]


def purge(parts: Parts, after_seq: int) -> int | None:
    """Remove ids whose window ended and whose message is gone, beginning after `after_seq`.

    Returns where to go on, None when the end of what is over was reached.
    """
    rows = parts.db.execute(
        "SELECT s.seq, s.until, EXISTS (SELECT 1 FROM messages m WHERE m.seq = s.seq)"
        " FROM seen s WHERE s.seq > ? ORDER BY s.seq LIMIT ?",
        (after_seq, PURGE_MAX),
    ).fetchall()
    gone = []
    for seq, until, here in rows:
        if until > parts.age_s:
            break
        if not here:
            gone.append((seq,))
        after_seq = seq
    parts.db.executemany("DELETE FROM seen WHERE seq = ?", gone)
    return after_seq if len(rows) == PURGE_MAX and rows[-1][0] == after_seq else None


def _known(parts: Parts, queue: Queue, ids: Sequence[str]) -> dict[str, float]:
    known: dict[str, float] = {}
    for start in range(0, len(ids), IDS_MAX):
        chunk = ids[start : start + IDS_MAX]
        # A few sizes of statement instead of sixty-four: each stays prepared.
        size = 1 if len(chunk) == 1 else 8 if len(chunk) <= 8 else IDS_MAX
        marks = ",".join("?" * size)
        rows = parts.db.execute(
            f"SELECT id, until FROM seen WHERE queue = ? AND id IN ({marks})",  # noqa: S608
            (queue.number, *chunk, *[None] * (size - len(chunk))),
        )
        known.update(rows.fetchall())
    return known
