"""New tasks into the ledger: unique keys, places in line, what they wait for.

Place:  ledger.extension, ledger.local -> [ledger.recording]
Rule:   inside the caller's transaction; recording one id twice changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.contract import Enqueued, Placed, Release, TaskRecord
from mergepoint.tasks.ledger.moving import is_first_of_key, waits_for_others
from mergepoint.tasks.ledger.rows import insert, load_where
from mergepoint.tasks.settling import accept, holds_unique, releasable
from mergepoint.tasks.spec import LINKS_MAX, Spec
from mergepoint.tasks.states import TaskState


def enqueue(db: sqlite3.Connection, now: float, specs: Sequence[Spec]) -> Enqueued:
    """Record all; raise `BusRefused` for a link to a task that does not exist."""
    placed: list[Placed] = []
    releases: list[Release] = []
    for spec in specs:
        found = _found(db, spec, now)
        if found is not None:
            placed.append(Placed(id=found, duplicate=True))
            continue
        record = _recorded(db, spec, now)
        placed.append(Placed(id=spec.id))
        if record.state is TaskState.PENDING:
            releases.append(releasable(record))
    return Enqueued(placed=tuple(placed), releases=tuple(releases))


def _found(db: sqlite3.Connection, spec: Spec, now: float) -> str | None:
    """Return the task that stands for this spec already."""
    if db.execute("SELECT 1 FROM ledger_tasks WHERE id = ?", (spec.id,)).fetchone():
        return spec.id
    if not spec.unique_key:
        return None
    for record in load_where(db, "unique_key = ? AND unique_key <> ''", (spec.unique_key,)):
        if holds_unique(record, now):
            return record.id
        db.execute("UPDATE ledger_tasks SET unique_key = '' WHERE id = ?", (record.id,))
    return None


def _recorded(db: sqlite3.Connection, spec: Spec, now: float) -> TaskRecord:
    _link(db, spec)
    record = accept(spec, now, waits=False)
    if (spec.after and waits_for_others(db, spec.id)) or not _nobody_before(db, record):
        record = accept(spec, now, waits=True)
    cancelled = _cancelled_before(db, spec.id) if spec.after else ""
    if cancelled:
        reason = f"{cancelled}, which it waits for, was cancelled"
        record = replace(record, state=TaskState.CANCELLED, error=reason)
        record = replace(record, keep_until=now + spec.options.keep_result_s)
    insert(db, record)
    return record


def _nobody_before(db: sqlite3.Connection, draft: TaskRecord) -> bool:
    # A place beyond every other: this one will be the last of its key.
    return is_first_of_key(db, replace(draft, place=2**62))


def _link(db: sqlite3.Connection, spec: Spec) -> None:
    if len(spec.after) > LINKS_MAX:
        raise BusRefused(f"{len(spec.after)} tasks to wait for; {LINKS_MAX} at most")
    for position, before in enumerate(spec.after):
        if not db.execute("SELECT 1 FROM ledger_tasks WHERE id = ?", (before,)).fetchone():
            raise BusRefused(f"no task {before} to wait for; it may have been forgotten")
        db.execute(
            "INSERT OR IGNORE INTO ledger_links VALUES (?, ?, ?)", (before, spec.id, position)
        )


def _cancelled_before(db: sqlite3.Connection, task: str) -> str:
    row = db.execute(
        "SELECT before FROM ledger_links JOIN ledger_tasks ON ledger_tasks.id = before "
        "WHERE task = ? AND state = 'cancelled' LIMIT 1",
        (task,),
    ).fetchone()
    return str(row[0]) if row else ""
