"""Save a record and let go whatever its change sets free.

Place:  ledger.recording, ledger.running, ledger.releasing, ledger.operating -> [ledger.moving]
Rule:   the one place that writes a changed record, so that nothing waits for what has ended.
"""

from __future__ import annotations

import sqlite3

from mergepoint.tasks.contract import Release, TaskRecord
from mergepoint.tasks.ledger.rows import load, load_where, save
from mergepoint.tasks.settling import can_cancel, cancel, free, releasable
from mergepoint.tasks.states import FINAL, TaskState

OPEN_SQL = "state NOT IN ('completed', 'cancelled', 'dead')"


def moved(
    db: sqlite3.Connection, before: TaskRecord, after: TaskRecord, now: float
) -> list[Release]:
    """Save the record; return it and whatever it sets free, where that goes into queues now."""
    save(db, before, after, now)
    releases = [releasable(after)] if _goes_out(before, after) else []
    if after.state in FINAL and before.state not in FINAL:
        releases += _next_of_key(db, after, now)
        releases += _dependents(db, after, now)
    return releases


def is_first_of_key(db: sqlite3.Connection, record: TaskRecord) -> bool:
    """Tell whether no open task of the same queue and key stands before this one."""
    if not record.spec.key:
        return True
    row = db.execute(
        f"SELECT min(place) FROM ledger_tasks WHERE queue = ? AND key = ? AND key <> '' "  # noqa: S608
        f"AND {OPEN_SQL}",
        (record.spec.queue, record.spec.key),
    ).fetchone()
    return row[0] is None or record.place == 0 or record.place <= row[0]


def waits_for_others(db: sqlite3.Connection, task: str) -> bool:
    """Tell whether something this task comes after is not completed."""
    row = db.execute(
        "SELECT 1 FROM ledger_links JOIN ledger_tasks ON ledger_tasks.id = before "
        "WHERE task = ? AND state <> 'completed' LIMIT 1",
        (task,),
    ).fetchone()
    return row is not None


def cancel_dependents(db: sqlite3.Connection, task: str, reason: str, now: float) -> list[Release]:
    """Cancel what waits for this task, and what waits for that."""
    releases = []
    for waiting in _waiting_for(db, task):
        if can_cancel(waiting):
            releases += moved(db, waiting, cancel(waiting, reason, now), now)
    return releases


def _goes_out(before: TaskRecord, after: TaskRecord) -> bool:
    return after.state is TaskState.PENDING and (
        before.state is not TaskState.PENDING or before.generation != after.generation
    )


def _next_of_key(db: sqlite3.Connection, ended: TaskRecord, now: float) -> list[Release]:
    if not ended.spec.key:
        return []
    first = load_where(
        db,
        f"queue = ? AND key = ? AND key <> '' AND {OPEN_SQL} ORDER BY place LIMIT 1",
        (ended.spec.queue, ended.spec.key),
    )
    return [release for record in first for release in _freed(db, record, now)]


def _dependents(db: sqlite3.Connection, ended: TaskRecord, now: float) -> list[Release]:
    # What waits for a dead task goes on waiting: the dead one may be replayed.
    if ended.state is TaskState.CANCELLED:
        reason = f"{ended.id}, which it waited for, was cancelled"
        return cancel_dependents(db, ended.id, reason, now)
    if ended.state is not TaskState.COMPLETED:
        return []
    waiting = _waiting_for(db, ended.id)
    return [release for record in waiting for release in _freed(db, record, now)]


def _freed(db: sqlite3.Connection, record: TaskRecord, now: float) -> list[Release]:
    blocked = record.state is not TaskState.HELD or waits_for_others(db, record.id)
    if blocked or not is_first_of_key(db, record):
        return []
    return moved(db, record, free(record, now), now)


def _waiting_for(db: sqlite3.Connection, task: str) -> list[TaskRecord]:
    names = [
        row[0] for row in db.execute("SELECT task FROM ledger_links WHERE before = ?", (task,))
    ]
    return [record for name in names if (record := load(db, name)) is not None]
