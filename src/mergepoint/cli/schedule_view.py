"""What the clock starts: schedules of the manifest beside those that task workers have announced.

Place:  cli.commands.tasks -> [cli.schedule_view]
Rule:   pure; a schedule that is not fired says so, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergepoint.cli.message_view import ago, time_text
from mergepoint.tasks.spec import Missed, Schedule

if TYPE_CHECKING:
    from mergepoint.manifest.messages import Schedule as Written
    from mergepoint.tasks.announcing import Announcement

IN_FORCE, WAITING, FAILED = "in force", "waits", "failed"
UNKNOWN = "no task worker of its app has announced it yet"

Json = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One schedule: where it is written, and whether it is fired."""

    schedule: Schedule
    origin: str
    state: str
    reason: str = ""


def rows_of(
    written: Iterable[Written], announced: Mapping[str, Announcement | None]
) -> Iterator[Row]:
    """Yield what the manifest says, then what else is declared in the code, app by app."""
    seen: set[tuple[str, str]] = set()
    for one in written:
        name = f"{one.task}:{one.cron}"
        seen.add((one.app, name))
        schedule = Schedule(
            name=name, task=one.task, app=one.app, cron=one.cron, timezone=one.timezone,
            missed=Missed(one.missed),
        )  # fmt: skip
        yield _row(schedule, str(one.origin), announced.get(one.app))
    for app, told in announced.items():
        if told is None:
            continue
        names = {each.name for each in told.schedules}
        for schedule in told.schedules:
            if (app, schedule.name) not in seen:
                yield Row(schedule, "the code", IN_FORCE)
        for name, reason in told.failed.items():
            if (app, name) not in seen and name not in names:
                lost = Schedule(name=name, task=name.partition(":")[0], app=app)
                yield Row(lost, "the code", FAILED, reason)


def next_at(row: Row, now_s: float) -> float:
    """Return the next time in Unix seconds; 0 when there is none."""
    from mergepoint.tasks.cron import times_of
    from mergepoint.tasks.errors import TaskError

    try:
        return 0.0 if row.state == FAILED else next(times_of(row.schedule)(now_s), 0.0)
    except TaskError:
        return 0.0


def cells(row: Row, now_s: float) -> tuple[str, ...]:
    """Return a schedule's line of the table."""
    schedule, at = row.schedule, next_at(row, now_s)
    when = schedule.cron or (f"every {schedule.every_s:g} s" if schedule.every_s else "")
    state = row.state if not row.reason else f"{row.state}: {row.reason}"
    coming = f"{time_text(at)} ({ago(at, now_s)})" if at else ""
    zone = schedule.timezone if schedule.cron else ""
    return (
        schedule.task, schedule.app, when, zone, str(schedule.missed), coming, row.origin, state,
    )  # fmt: skip


def document_of(row: Row, now_s: float) -> Json:
    """Return a schedule with its next time in Unix seconds; null when there is none."""
    schedule = row.schedule
    return {
        "task": schedule.task,
        "app": schedule.app,
        "cron": schedule.cron,
        "every_s": schedule.every_s,
        "timezone": schedule.timezone,
        "missed": str(schedule.missed),
        "next_at": next_at(row, now_s) or None,
        "origin": row.origin,
        "state": row.state,
        "reason": row.reason,
    }


def _row(schedule: Schedule, origin: str, told: Announcement | None) -> Row:
    if told is not None and schedule.name in told.failed:
        return Row(schedule, origin, FAILED, told.failed[schedule.name])
    if told is not None and any(each.name == schedule.name for each in told.schedules):
        return Row(schedule, origin, IN_FORCE)
    return Row(schedule, origin, WAITING, UNKNOWN)
