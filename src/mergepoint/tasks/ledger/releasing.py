"""What the clock sets free: delays and retries that are due, what was lost on its way, what is old.

Place:  ledger.extension, ledger.local -> [ledger.releasing]
Rule:   inside the caller's transaction; a bounded part at a time.
"""

from __future__ import annotations

import sqlite3

from mergepoint.tasks.contract import Due, Release, TaskRecord
from mergepoint.tasks.ledger.moving import moved
from mergepoint.tasks.ledger.operating import forget
from mergepoint.tasks.ledger.rows import load_where
from mergepoint.tasks.settling import again, silent
from mergepoint.tasks.spec import PENDING_S, SILENT_S
from mergepoint.tasks.states import Event

FORGET_MAX = 500
TICKS_KEPT_S = 14 * 86400.0
"""How long a fired tick is remembered by name; the newest one of a schedule always is."""
FORGET_EVERY_S = 60.0


def due(db: sqlite3.Connection, now: float, limit: int) -> Due:
    """Release at most `limit` of each kind; `next_at` is now when there may be more."""
    releases: list[Release] = []
    waiting = load_where(
        db,
        "state IN ('scheduled', 'retryable') AND due_at <= ? ORDER BY due_at LIMIT ?",
        (now, limit),
    )
    waiting.sort(key=lambda record: (-record.spec.priority, record.due_at, record.place))
    for record in waiting:
        releases += moved(db, record, again(record, Event.DUE, now), now)
    stuck = _stuck(db, now, limit)
    for record in stuck:
        releases += moved(db, record, again(record, Event.DUE, now), now)
    quiet = _quiet(db, now, limit)
    for record in quiet:
        releases += moved(db, record, silent(record, now), now)
    gone = _forget_old(db, now)
    more = any(count >= limit for count in (len(waiting), len(stuck), len(quiet)))
    return Due(
        releases=tuple(releases),
        next_at=now if more or gone >= FORGET_MAX else next_at(db),
    )


def next_at(db: sqlite3.Connection) -> float:
    """Return when something is due next, 0 when nothing is known to be."""
    rows = db.execute(
        "SELECT min(due_at) FROM ledger_tasks WHERE state IN ('scheduled', 'retryable') "
        "UNION ALL SELECT min(changed_at) + ? FROM ledger_tasks WHERE state = 'pending' "
        "UNION ALL SELECT min(touched_at) + ? FROM ledger_tasks WHERE state = 'running' "
        "UNION ALL SELECT min(keep_until) + ? FROM ledger_tasks WHERE keep_until > 0",
        (PENDING_S, SILENT_S, FORGET_EVERY_S),
    )
    return min((row[0] for row in rows if row[0] is not None), default=0.0)


def _stuck(db: sqlite3.Connection, now: float, limit: int) -> list[TaskRecord]:
    return load_where(
        db,
        "state = 'pending' AND changed_at <= ? ORDER BY changed_at LIMIT ?",
        (now - PENDING_S, limit),
    )


def _quiet(db: sqlite3.Connection, now: float, limit: int) -> list[TaskRecord]:
    return load_where(
        db,
        "state = 'running' AND touched_at <= ? ORDER BY touched_at LIMIT ?",
        (now - SILENT_S, limit),
    )


def _forget_old(db: sqlite3.Connection, now: float) -> int:
    """Forget final tasks whose time is over, but not results that somebody waits for."""
    db.execute("DELETE FROM ledger_ticks WHERE tick < ?", (now - TICKS_KEPT_S,))
    rows = db.execute(
        "SELECT id FROM ledger_tasks WHERE keep_until > 0 AND keep_until <= ? LIMIT ?",
        (now, FORGET_MAX),
    ).fetchall()
    needed = {row[0] for row in rows if _is_needed(db, row[0])}
    for task in needed:
        db.execute("UPDATE ledger_tasks SET keep_until = ? WHERE id = ?", (now + 3600.0, task))
    forget(db, [row[0] for row in rows if row[0] not in needed])
    return len(rows)


def _is_needed(db: sqlite3.Connection, task: str) -> bool:
    row = db.execute(
        "SELECT 1 FROM ledger_links JOIN ledger_tasks ON ledger_tasks.id = task "
        "WHERE before = ? AND state NOT IN ('completed', 'cancelled', 'dead') LIMIT 1",
        (task,),
    ).fetchone()
    return row is not None
