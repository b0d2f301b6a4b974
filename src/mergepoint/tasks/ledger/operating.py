"""What people ask of the ledger: look, cancel, edit, replay, forget; and what runners know.

Place:  ledger.extension, ledger.local -> [ledger.operating]
Rule:   inside the caller's transaction; lists are bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mergepoint.tasks.contract import Finished, QueueCount, Release, Settled, TaskRecord
from mergepoint.tasks.errors import ImpossibleStep, NoSuchTask
from mergepoint.tasks.ledger.moving import cancel_dependents, is_first_of_key, moved
from mergepoint.tasks.ledger.rows import load, load_where, save, save_replayed
from mergepoint.tasks.settling import again, cancel, releasable
from mergepoint.tasks.settling import replay as replayed
from mergepoint.tasks.states import FINAL, Event, TaskState

RECORDS_MAX = 1_000
"""Records of one answer."""


def records(
    db: sqlite3.Connection,
    *,
    queue: str = "",
    name: str = "",
    group: str = "",
    states: Sequence[TaskState] = (),
    limit: int = 100,
    after: str = "",
) -> list[TaskRecord]:
    """Return records in the order of their ids."""
    wheres, values = ["id > ?"], [after]
    for column, value in (("queue", queue), ("name", name), ("grp", group)):
        if value:
            wheres.append(f"{column} = ?")
            values.append(value)
    if states:
        wheres.append(f"state IN ({', '.join('?' * len(states))})")
        values += [state.value for state in states]
    where = f"{' AND '.join(wheres)} ORDER BY id LIMIT {min(int(limit), RECORDS_MAX)}"
    return load_where(db, where, values)


def counts(db: sqlite3.Connection) -> list[QueueCount]:
    """Return how many tasks of each queue are in each state."""
    rows = db.execute(
        "SELECT queue, state, count(*), min(changed_at) FROM ledger_tasks GROUP BY queue, state"
    )
    return [
        QueueCount(queue=queue, state=TaskState(state), count=count, oldest_at=oldest)
        for queue, state, count, oldest in rows
    ]


def cancel_task(db: sqlite3.Connection, now: float, task: str, reason: str) -> Finished:
    """End a task or ask it to end; a final one stays as it is."""
    before = _found(db, task)
    if before.state in FINAL:
        return Finished(settled=(Settled(id=task, state=before.state),))
    after = cancel(before, reason, now)
    releases = moved(db, before, after, now)
    return Finished(settled=(Settled(id=task, state=after.state),), releases=tuple(releases))


def replay(
    db: sqlite3.Connection, now: float, task: str, payload: bytes | None, content_type: str
) -> tuple[Release, ...]:
    """Run an ended task anew; behind others of its key it is held again."""
    before = _found(db, task)
    spec = before.spec
    if payload is not None:
        spec = replace(spec, payload=payload, content_type=content_type or spec.content_type)
    if spec.expires_at:
        spec = replace(spec, expires_at=0.0)
    after = replayed(before, spec, now)
    taken = db.execute(
        "SELECT 1 FROM ledger_tasks WHERE unique_key = ? AND unique_key <> '' AND id <> ?",
        (spec.unique_key, task),
    ).fetchone()
    if taken:
        raise ImpossibleStep(f"another task has the unique key {spec.unique_key!r} now")
    held = not is_first_of_key(db, replace(after, place=2**62))
    after = replace(after, state=TaskState.HELD) if held else after
    save_replayed(db, after)
    save(db, before, after, now)
    return () if held else (releasable(after),)


def discard(db: sqlite3.Connection, now: float, tasks: Sequence[str]) -> tuple[int, list[Release]]:
    """Forget final tasks; what waited for a dead one is cancelled."""
    gone, releases = [], []
    for task in tasks:
        record = load(db, task)
        if record is None or record.state not in FINAL:
            continue
        if record.state is TaskState.DEAD:
            reason = f"{task}, which it waited for, was discarded"
            releases += cancel_dependents(db, task, reason, now)
        gone.append(task)
    forget(db, gone)
    return len(gone), releases


def forget(db: sqlite3.Connection, tasks: Sequence[str]) -> None:
    """Remove records and everything that hangs on them."""
    several: list[tuple[Any, ...]] = [(task,) for task in tasks]
    db.executemany("DELETE FROM ledger_links WHERE before = ?", several)
    db.executemany("DELETE FROM ledger_links WHERE task = ?", several)
    db.executemany("DELETE FROM ledger_once WHERE task = ?", several)
    db.executemany("DELETE FROM ledger_tasks WHERE id = ?", several)


def register(db: sqlite3.Connection, now: float, names: Sequence[str]) -> list[Release]:
    """Release what was parked for want of these names."""
    releases = []
    for name in names:
        for record in load_where(db, "state = 'parked' AND name = ?", (name,)):
            releases += moved(db, record, again(record, Event.KNOWN, now), now)
    return releases


def _found(db: sqlite3.Connection, task: str) -> TaskRecord:
    record = load(db, task)
    if record is None:
        raise NoSuchTask(f"no task {task} is recorded", next="mergepoint tasks list")
    return record
