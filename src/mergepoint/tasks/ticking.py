"""Which ticks of a schedule are to be fired now, and when to look again.

Place:  tasks.scheduler -> [tasks.ticking] <- tasks.cron gives the times
Rule:   pure; a tick is a moment in Unix seconds, and never fires when it is not later than the
        last one, so that a clock that is set back fires nothing twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from mergepoint.tasks.contract import Plan
from mergepoint.tasks.errors import ScheduleRefused
from mergepoint.tasks.spec import Missed, Schedule

EVERY_S_MIN = 0.1
MISSED_S = 60.0
"""A tick this late was missed: nobody was there for it."""
LOOK_MAX = 100_000
"""Ticks that are gone through after a long sleep; the rest is gone through the next time."""

Times = Callable[[float], Iterator[float]]
"""Returns every tick after a moment, in order."""


def plan(schedule: Schedule, times: Times, last: float, now: float) -> Plan:
    """Decide for one schedule."""
    passed: list[float] = []
    next_at = 0.0
    for tick in itertools.islice(times(last), LOOK_MAX):
        if tick > now:
            next_at = tick
            break
        passed.append(tick)
    if not passed:
        return Plan(next_at=next_at)
    return _made_up(schedule, passed, next_at or now, now)


def every(every_s: float) -> Times:
    """Return the times of an interval: whole multiples of it since 1970, on every machine."""
    if every_s < EVERY_S_MIN:
        raise ScheduleRefused(f"every_s={every_s:g}; {EVERY_S_MIN} at least")

    def times(after: float) -> Iterator[float]:
        first = int(after // every_s) + 1
        return (n * every_s for n in itertools.count(first) if n * every_s > after)

    return times


def _made_up(schedule: Schedule, passed: list[float], next_at: float, now: float) -> Plan:
    newest = passed[-1]
    fresh = newest > now - MISSED_S
    fire: tuple[float, ...]
    match schedule.missed:
        case Missed.SKIP:
            fire = (newest,) if fresh else ()
        case Missed.ONE:
            fire = (newest,)
        case Missed.ALL:
            fire = tuple(passed[-schedule.catch_up_max :])
    return Plan(fire=fire, skip_to=0.0 if fire else newest, next_at=next_at)
