"""Jobs in hand: taken, done, given back, taken up again after a restart.

Place:  bus.hub.store -> [bus.hub.holding] -> bus.hub.leases, bus.hub.moves
Rule:   inside the caller's transaction; whoever comes with a token that is over changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mergepoint.bus.hub import rules
from mergepoint.bus.hub.leases import Held
from mergepoint.bus.hub.letters import REASON_CHARACTERS_MAX, bury
from mergepoint.bus.hub.moves import Beside, delay, forget, make_ready
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue
from mergepoint.bus.hub.schema import BY_AGE

TAKE_BYTES_MAX = 8 * 1024 * 1024
"""Data that one take returns; a single message may be longer."""


class Taken(NamedTuple):
    """A job as it is handed out."""

    held: Held
    attributes: bytes
    data: bytes


def take(
    parts: Parts, queue: Queue, *, limit: int, worker: str, session: object, lease_s: float
) -> list[Taken]:
    """Hand out up to `limit` jobs: higher priority first, then older first."""
    rows = parts.db.execute(
        "SELECT m.seq, m.id, m.key, m.priority, m.expires_at, m.attempts_max, m.attributes,"
        " m.data, t.attempt"
        " FROM ready r JOIN messages m USING (seq) LEFT JOIN trouble t USING (seq)"
        " WHERE r.queue = ? ORDER BY r.rank, r.seq LIMIT ?",
        (queue.number, limit),
    ).fetchall()
    taken: list[Taken] = []
    size = 0
    for seq, id_, key, priority, expires_at, attempts_max, attributes, data, attempt in rows:
        size += len(data)
        if taken and size > TAKE_BYTES_MAX:
            break
        if rules.is_expired(expires_at, parts.unix_s):
            continue  # `expire` comes for it within a second
        held = Held(
            seq=seq,
            token=parts.leases.new_token(),
            queue=queue,
            id=id_,
            key=key,
            priority=priority,
            attempt=(attempt or 0) + 1,
            attempts_max=attempts_max,
            expires_at=expires_at,
            bytes=len(attributes) + len(data),
            worker=worker,
            session=session,
            lease_s=lease_s,
            deadline_s=parts.monotonic_s + lease_s,
            troubled=attempt is not None,
        )
        taken.append(Taken(held, attributes, data))
    if taken:
        _hand_out(parts, queue, [job.held for job in taken])
    return taken


def finish(parts: Parts, done: Sequence[Held]) -> None:
    """These are done: nothing of them is kept but that their ids were seen."""
    _let_go(parts, done)
    by_queue: dict[Queue, list[Held]] = {}
    for held in done:
        by_queue.setdefault(held.queue, []).append(held)
    parts.db.executemany("DELETE FROM messages WHERE seq = ?", [(held.seq,) for held in done])
    for queue, mine in by_queue.items():
        queue.bytes -= sum(held.bytes for held in mine)
        special = [_beside(h) for h in mine if h.key or h.troubled or h.expires_at]
        if special:
            forget(parts, queue, special)


def give_back(parts: Parts, held: Held, *, delay_s: float, reason: str, burn: bool) -> None:
    """It was not done; the last attempt makes it dead."""
    verdict = rules.returned(
        attempt=held.attempt,
        attempts_max=held.attempts_max,
        burn=burn,
        delay_s=delay_s,
        expires_at=held.expires_at,
        unix_s=parts.unix_s,
        reason=reason,
    )
    if verdict.dead:
        bury_held(parts, held, reason=verdict.dead, attempt=verdict.attempt)
        return
    _let_go(parts, [held])
    parts.db.execute(
        "INSERT OR REPLACE INTO trouble VALUES (?, ?, ?, ?)",
        (held.seq, verdict.attempt, reason[:REASON_CHARACTERS_MAX], parts.unix_s),
    )
    if verdict.delay_s > 0:
        delay(parts, held.queue, held.seq, BY_AGE, parts.age_s + verdict.delay_s)
    else:
        make_ready(parts, held.queue, held.seq, held.priority)


def bury_held(parts: Parts, held: Held, *, reason: str, attempt: int) -> None:
    """It is dead now."""
    _let_go(parts, [held])
    bury(parts, held.queue, held.seq, reason=reason, attempt=attempt)
    forget(parts, held.queue, [_beside(held)])


def restore(parts: Parts, orphan_s: float) -> int:
    """Take up the leases of before a restart, each for `orphan_s` at most; return how many."""
    rows = parts.db.execute(
        "SELECT m.seq, l.token, m.queue, m.id, m.key, m.priority, l.attempt, m.attempts_max,"
        " m.expires_at, length(m.attributes) + length(m.data), l.worker, l.lease_s,"
        " EXISTS (SELECT 1 FROM trouble t WHERE t.seq = m.seq)"
        " FROM leases l JOIN messages m USING (seq)"
    ).fetchall()
    for row in rows:
        held = Held(
            seq=row[0],
            token=row[1],
            queue=parts.queues.numbered(row[2]),
            id=row[3],
            key=row[4],
            priority=row[5],
            attempt=row[6],
            attempts_max=row[7],
            expires_at=row[8],
            bytes=row[9],
            worker=row[10],
            session=None,
            lease_s=row[11],
            deadline_s=parts.monotonic_s + min(row[11], orphan_s),
            troubled=bool(row[12]),
        )
        parts.leases.add(held)
    return len(rows)


def _hand_out(parts: Parts, queue: Queue, held: Sequence[Held]) -> None:
    parts.queues.touch(queue)
    queue.waiting -= len(held)
    queue.leased += len(held)
    for one in held:
        parts.leases.add(one)
        parts.journal.add(parts.leases.remove, one)
    parts.db.executemany(
        "DELETE FROM ready WHERE queue = ? AND rank = ? AND seq = ?",
        [(queue.number, rules.rank(one.priority), one.seq) for one in held],
    )
    parts.db.executemany(
        "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)",
        [(h.seq, h.token, h.worker, h.attempt, h.lease_s, parts.unix_s) for h in held],
    )


def _let_go(parts: Parts, held: Iterable[Held]) -> None:
    seqs = []
    for one in held:
        parts.queues.touch(one.queue)
        one.queue.leased -= 1
        parts.leases.remove(one)
        parts.journal.add(parts.leases.add, one)
        seqs.append((one.seq,))
    parts.db.executemany("DELETE FROM leases WHERE seq = ?", seqs)


def _beside(held: Held) -> Beside:
    return Beside(held.seq, held.key, held.expires_at, held.troubled)
