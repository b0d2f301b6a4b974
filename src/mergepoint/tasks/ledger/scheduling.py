"""Schedules in the ledger, and the claim of a tick that only one can make.

Place:  ledger.extension, ledger.local -> [ledger.scheduling]
Rule:   inside the caller's transaction; which ticks there are is decided by tasks.ticking.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from mergepoint.tasks.contract import Enqueued, ScheduleRow
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.ledger.recording import enqueue
from mergepoint.tasks.spec import Schedule, Spec


def schedule(
    db: sqlite3.Connection, now: float, schedules: Sequence[Schedule], app: str
) -> list[ScheduleRow]:
    """Make these known; a new or retimed one begins now."""
    kept = {row.schedule.name: row for row in rows(db, app)}
    for each in (replace(each, app=app) for each in schedules):
        known = kept.get(each.name)
        if known and known.schedule == each:
            continue
        last_tick = known.last_tick if known and _same_times(known.schedule, each) else now
        db.execute(
            "INSERT INTO ledger_schedules VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET app = excluded.app, document = excluded.document, last_tick = excluded.last_tick",
            (each.name, app, json.dumps(to_plain(each)), last_tick),
        )
    return rows(db, app)


def rows(db: sqlite3.Connection, app: str) -> list[ScheduleRow]:
    """Return the schedules of an app by name."""
    found = db.execute(
        "SELECT document, last_tick FROM ledger_schedules WHERE app = ? ORDER BY name", (app,)
    )
    return [
        ScheduleRow(schedule=from_plain(Schedule, json.loads(document)), last_tick=last_tick)
        for document, last_tick in found
    ]


def fire(
    db: sqlite3.Connection, now: float, name: str, previous: float, tick: float, spec: Spec | None
) -> Enqueued:
    """Claim the tick, then record; nothing placed when somebody else was first."""
    moved_on = db.execute(
        "UPDATE ledger_schedules SET last_tick = ? WHERE name = ? AND last_tick = ? "
        "AND last_tick < ?",
        (tick, name, previous, tick),
    )
    if moved_on.rowcount != 1:
        return Enqueued(placed=())
    if spec is None:
        return Enqueued(placed=())
    claimed = db.execute("INSERT OR IGNORE INTO ledger_ticks VALUES (?, ?)", (name, tick))
    # A schedule that was removed and came back must not fire an old tick a second time.
    return enqueue(db, now, [spec]) if claimed.rowcount == 1 else Enqueued(placed=())


def _same_times(known: Schedule, given: Schedule) -> bool:
    return (known.cron, known.every_s, known.timezone) == (
        given.cron,
        given.every_s,
        given.timezone,
    )
