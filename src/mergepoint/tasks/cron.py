"""The times of a cron line in a time zone.

Place:  tasks.scheduler, ledger.extension -> [tasks.cron] -> cronsim
Rule:   the one module that knows cronsim. A line of fixed times that a clock change leaves out
        fires right after it, one that it repeats fires once; `*` in hours goes by elapsed time
        (as Debian's cron does).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mergepoint.tasks.errors import CronUnreadable, ScheduleRefused
from mergepoint.tasks.spec import Schedule
from mergepoint.tasks.ticking import Times, every


def times_of(schedule: Schedule) -> Times:
    """Return the ticks of a schedule; raise `ScheduleRefused` for what means nothing."""
    if bool(schedule.cron) == bool(schedule.every_s):
        raise ScheduleRefused(f"{schedule.name}: give it cron or every_s, one of them")
    return every(schedule.every_s) if schedule.every_s else cron(schedule.cron, schedule.timezone)


def cron(line: str, timezone: str) -> Times:
    """Return the ticks of a line of five fields, or six with seconds last."""
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise CronUnreadable(
            f"cron {line!r}: cronsim is not installed in this environment",
            next="pip install cronsim, or write the schedule in mergepoint.toml",
        ) from None
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ScheduleRefused(f"time zone {timezone!r} is not known on this machine") from None
    try:
        CronSim(line, datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise ScheduleRefused(f"cron {line!r}: {error}") from None

    def times(after: float) -> Iterator[float]:
        start = datetime.fromtimestamp(after, UTC).astimezone(zone)
        # Two local times can be one moment when a clock is turned; each moment is a tick once.
        last = after
        for moment in CronSim(line, start):
            tick = moment.timestamp()
            if tick > last:
                last = tick
                yield tick

    return times
