"""Schedules in PostgreSQL's ledger, and the claim of a tick that only one can make.

Place:  ledger.postgres -> [postgres_scheduling] -> postgres_work
Rule:   inside one transaction each; which ticks there are is decided by tasks.ticking.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from mergepoint.tasks.contract import Enqueued, Placed, ScheduleRow
from mergepoint.tasks.ledger import postgres_rows as rows
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.ledger.postgres_work import Book
from mergepoint.tasks.spec import Schedule, Spec

_KNOWN = "SELECT document, last_tick FROM mergepoint.task_schedule WHERE app = %s ORDER BY name"
_WRITE = (
    "INSERT INTO mergepoint.task_schedule AS s VALUES (%s, %s, %s::text::jsonb, %s)"
    " ON CONFLICT (name) DO UPDATE SET app = excluded.app, document = excluded.document,"
    " last_tick = excluded.last_tick"
)


async def schedule(book: Book, schedules: Sequence[Schedule], app: str) -> list[ScheduleRow]:
    """Make these known; a new or retimed one begins now."""
    await book.look_at_clock()
    kept = {row.schedule.name: row for row in await _known(book, app)}
    changed = False
    for each in sorted((replace(each, app=app) for each in schedules), key=lambda s: s.name):
        known = kept.get(each.name)
        if known and known.schedule == each:
            continue
        last_tick = (
            known.last_tick if known and _times(known.schedule) == _times(each) else book.now
        )
        await book.tell(_WRITE, (each.name, app, json.dumps(to_plain(each)), last_tick))
        changed = True
    return await _known(book, app) if changed else list(kept.values())


async def fire(
    book: Book, name: str, previous: float, tick: float, spec: Spec | None, source: str
) -> Enqueued:
    """Claim the tick, then record; nothing placed when somebody else was first."""
    await book.look_at_clock()
    moved_on = await book.ask(
        "UPDATE mergepoint.task_schedule SET last_tick = %s WHERE name = %s AND last_tick = %s"
        " AND last_tick < %s RETURNING name",
        (tick, name, previous, tick),
    )
    if not moved_on or spec is None:
        return Enqueued(placed=())
    claimed = await book.ask(
        "INSERT INTO mergepoint.task_tick VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING tick",
        (name, tick),
    )
    # A schedule that was removed and came back must not fire an old tick a second time.
    if not claimed:
        return Enqueued(placed=())
    found = await book.ask(rows.ENQUEUE, rows.enqueued([spec], source, book.now))
    book.woken.update(queue for _, _, queue in found if queue)
    return Enqueued(placed=tuple(Placed(id=task, duplicate=same) for task, same, _ in found))


async def _known(book: Book, app: str) -> list[ScheduleRow]:
    return [
        ScheduleRow(schedule=from_plain(Schedule, document), last_tick=last_tick)
        for document, last_tick in await book.ask(_KNOWN, (app,))
    ]


def _times(schedule: Schedule) -> tuple[str, float, str]:
    return schedule.cron, schedule.every_s, schedule.timezone
