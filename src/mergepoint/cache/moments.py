"""Statements whose answer changes though nothing is written: they ask what time it is.

Place:  cache.sqlite, cache.postgres -> [cache.moments]
Rule:   pure; a moment with a fraction of a second was taken from a clock, so it is one of today's.

Such answers have no event that would end them (R14), so they are not kept. A date or a moment that
a person chose, a month of an archive, has no fraction and passes unless it is of these days.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

VOLATILE = re.compile(
    r"\b(now|random|randomblob|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday"
    r"|gen_random_uuid|uuid_generate_v\d|nextval|currval|lastval|setseed|pg_\w+|current_setting"
    r"|last_insert_rowid|changes|total_changes|txid_\w+)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtime|localtimestamp|current_user"
    r"|session_user)\b|'now'|\btablesample\b",
    re.IGNORECASE,
)
ARGUMENTLESS = re.compile(r"\b(date|time|datetime|julianday|unixepoch)\s*\(\s*\)", re.IGNORECASE)
CLOCKED = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.(?!0+(?:\D|$))\d+")
DATED = re.compile(r"\d{4}-\d\d-\d\d")
NEAR_DAYS = 1


def tells_the_time(sql: str) -> bool:
    """Tell whether a statement asks for the time, or anything else that nobody writes."""
    return VOLATILE.search(sql) is not None or ARGUMENTLESS.search(sql) is not None


def is_of_the_moment(parameters: Any, now_s: float) -> bool:
    """Tell whether a parameter was taken from a clock; `now_s` is Unix seconds."""
    values: Iterable[Any] = ()
    if isinstance(parameters, Mapping):
        values = parameters.values()
    elif isinstance(parameters, list | tuple):
        values = parameters
    today = datetime.datetime.fromtimestamp(now_s, datetime.UTC).date()
    return any(_from_a_clock(value, today) for value in values)


def _from_a_clock(value: Any, today: datetime.date) -> bool:
    if isinstance(value, datetime.datetime):
        return value.microsecond != 0 or _is_near(value.date(), today)
    if isinstance(value, datetime.date):
        return _is_near(value, today)
    if not isinstance(value, str) or not DATED.match(value):
        return False
    if CLOCKED.fullmatch(value[:26]) or CLOCKED.match(value):
        return True
    try:
        return _is_near(datetime.date.fromisoformat(value[:10]), today)
    except ValueError:
        return False


def _is_near(day: datetime.date, today: datetime.date) -> bool:
    # The time zone is whose? A day to either side covers all of them.
    return abs((day - today).days) <= NEAR_DAYS
