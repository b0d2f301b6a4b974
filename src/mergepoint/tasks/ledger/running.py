"""Runs in the ledger: who may start, what an end means, who is still alive.

Place:  ledger.extension, ledger.local -> [ledger.running]
Rule:   inside the caller's transaction; decisions are tasks.settling's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mergepoint.tasks.contract import (
    Finish,
    Finished,
    Progress,
    Release,
    Settled,
    Start,
    Started,
    TaskRecord,
    Touched,
)
from mergepoint.tasks.ledger.moving import moved
from mergepoint.tasks.ledger.rows import load
from mergepoint.tasks.rates import take_token
from mergepoint.tasks.settling import begin, settle, slow_down
from mergepoint.tasks.states import TaskState


def start(
    db: sqlite3.Connection, now: float, starts: Sequence[Start]
) -> tuple[list[Started], list[Release]]:
    """Decide for every message; a task that ends here (expired, poison) frees what waits."""
    answers: list[Started] = []
    releases: list[Release] = []
    for each in starts:
        before = load(db, each.message_id.partition(".")[0])
        if before is None:
            answers.append(Started(record=None, reason="no such task is recorded"))
            continue
        after, reason = begin(before, each, now)
        if not reason and before.state is not TaskState.RUNNING:
            permit_at = _permit_at(db, before, now)
            if permit_at > now:
                after, reason = slow_down(before, permit_at, now), "over its rate; starts later"
        if after != before:
            releases += moved(db, before, after, now)
        inputs = () if reason else _inputs(db, after)
        answers.append(Started(record=None if reason else after, inputs=inputs, reason=reason))
    return answers, releases


def finish(db: sqlite3.Connection, now: float, finishes: Sequence[Finish]) -> Finished:
    """Settle runs in order."""
    settled: list[Settled] = []
    releases: list[Release] = []
    for each in finishes:
        before = load(db, each.id)
        after = None if before is None else settle(before, each, now)
        if before is None or after is None:
            state = None if before is None else before.state
            settled.append(Settled(id=each.id, state=state, lost=True))
            continue
        releases += moved(db, before, after, now)
        settled.append(Settled(id=each.id, state=after.state))
    return Finished(settled=tuple(settled), releases=tuple(releases))


def confirm(db: sqlite3.Connection, now: float, released: Sequence[tuple[str, int]]) -> None:
    """Note that these are in their queues; one that was started meanwhile stays as it is."""
    db.executemany(
        "UPDATE ledger_tasks SET state = 'queued', changed_at = ? "
        "WHERE id = ? AND generation = ? AND state = 'pending'",
        [(now, task, generation) for task, generation in released],
    )


def touch(db: sqlite3.Connection, now: float, tokens: Mapping[str, str]) -> Touched:
    """Note that these run; a lost one is not taken back."""
    lost, cancelling = [], []
    for task, token in tokens.items():
        row = db.execute(
            "UPDATE ledger_tasks SET touched_at = ? WHERE id = ? AND token = ? "
            "AND state = 'running' RETURNING cancelling",
            (now, task, token),
        ).fetchone()
        if row is None:
            lost.append(task)
        elif row[0]:
            cancelling.append(task)
    return Touched(lost=tuple(lost), cancelling=tuple(cancelling))


def progress(
    db: sqlite3.Connection, now: float, task: str, token: str, made: Progress
) -> TaskRecord | None:
    """Write how far a run is; None when it is somebody else's."""
    record = load(db, task)
    if record is None or record.state is not TaskState.RUNNING or record.token != token:
        return None
    after = replace(record, progress=made, touched_at=now)
    moved(db, record, after, now)
    return after


def once(db: sqlite3.Connection, task: str, key: str, *, done: bool) -> bool:
    """`done=False`: was it marked; `done=True`: mark it, False when it was marked before."""
    if not done:
        found = db.execute("SELECT 1 FROM ledger_once WHERE task = ? AND key = ?", (task, key))
        return found.fetchone() is not None
    written = db.execute("INSERT OR IGNORE INTO ledger_once VALUES (?, ?)", (task, key))
    return written.rowcount == 1


def _permit_at(db: sqlite3.Connection, record: TaskRecord, now: float) -> float:
    """Return when this task may start by its rate; its token is taken once."""
    rate = record.spec.options.rate
    if rate is None or record.permit_at:
        return min(record.permit_at, now)
    name = rate.bucket or record.spec.name
    row = db.execute("SELECT tokens, at FROM ledger_buckets WHERE name = ?", (name,)).fetchone()
    tokens, at, permit_at = take_token(rate, row, now)
    db.execute("INSERT OR REPLACE INTO ledger_buckets VALUES (?, ?, ?)", (name, tokens, at))
    return permit_at


def _inputs(db: sqlite3.Connection, record: TaskRecord) -> tuple[tuple[bytes, str], ...]:
    if not record.spec.after:
        return ()
    rows = db.execute(
        "SELECT result, result_type FROM ledger_links JOIN ledger_tasks "
        "ON ledger_tasks.id = before WHERE task = ? ORDER BY position",
        (record.id,),
    )
    return tuple((result, content_type) for result, content_type in rows)
