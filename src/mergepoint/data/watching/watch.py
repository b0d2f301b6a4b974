"""Which line of the app ran a statement, how often in one request, how long, and what would help.

Place:  watching.sqlalchemy, django, drivers -> [watching.watch] -> watching.record, watching.plans
Rule:   for development: it looks at frames and asks for plans, which costs.
"""

from __future__ import annotations

import contextlib
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint.data.watching import plans
from mergepoint.data.watching.record import Record, Seen

REPEATED_MIN = 10
"""So often the same statement from the same line in one request is worth a word."""
SLOW_S = 0.1
"""A statement that takes longer is worth a word."""
EXPLAIN_S = 0.02
"""One that takes longer is explained once; so is one that is repeated."""
FRAMES_MAX = 80
_OURS = str(Path(__file__).resolve().parent.parent.parent)
_LIBRARIES = tuple(
    {*(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")), _OURS, "<"}
)
_VARYING = re.compile(r"/(?:\d+|[0-9a-fA-F-]{32,36})(?=/|$)")


@dataclass
class Request:
    """What one request has asked so far."""

    route: str
    counts: dict[tuple[str, str], int] = field(default_factory=dict)


_request: ContextVar[Request | None] = ContextVar("mergepoint_watched_request", default=None)


@contextlib.contextmanager
def request(method: str, path: str) -> Iterator[None]:
    """Count what this request asks by its route."""
    token = _request.set(Request(route_of(method, path)))
    try:
        yield
    finally:
        _request.reset(token)


def route_of(method: str, path: str) -> str:
    """Return the request's kind: numbers and UUIDs of the path do not matter. Pure."""
    return f"{method} {_VARYING.sub('/*', path)}"


def seen(record: Record, database: str, sql: str, took_s: float) -> Seen:
    """Note that a statement ran; return its entry."""
    asking = _request.get()
    where = line_of_app()
    entry = record.entry(database, sql, where, asking.route if asking else "")
    entry.calls += 1
    entry.total_s += took_s
    entry.max_s = max(entry.max_s, took_s)
    if took_s >= SLOW_S:
        entry.slow += 1
        record.warn(("slow", sql, where), "slow: %.0f ms at %s: %s", took_s * 1000, where, sql)
    if asking is not None:
        _count(record, asking, entry)
    record.write_if_due()
    return entry


def explain_later(
    entry: Seen, connection: Any, sql: str, parameters: Any, took_s: float
) -> None:  # Any: SQLAlchemy's connection
    """Ask once for the plan of a statement that is slow or repeated, and keep what would help."""
    costly = took_s >= EXPLAIN_S or entry.repeated_max >= REPEATED_MIN
    if entry.hint or not costly or not sql.lstrip().upper().startswith("SELECT"):
        return
    raw = connection.connection.cursor()
    try:
        entry.hint = plans.hint(connection.dialect.name, raw, sql, parameters) or "-"
    except Exception:
        entry.hint = "-"
    finally:
        raw.close()


def line_of_app() -> str:
    """Return file:line of the nearest frame that is neither a library's nor ours."""
    frame = sys._getframe(1)
    for _ in range(FRAMES_MAX):
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) and "site-packages" not in file:
            return f"{file}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return _behind_greenlet()


def _behind_greenlet() -> str:
    """Return the line that awaits: SQLAlchemy runs drivers of event loops in a greenlet."""
    greenlet = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet is not None else None
    frame = getattr(parent, "gr_frame", None)
    for _ in range(FRAMES_MAX):
        if frame is None:
            break
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) and "site-packages" not in file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown"


def _count(record: Record, asking: Request, entry: Seen) -> None:
    key = (entry.sql, entry.where)
    count = asking.counts[key] = asking.counts.get(key, 0) + 1
    entry.repeated_max = max(entry.repeated_max, count)
    if count == REPEATED_MIN:
        record.warn(
            ("repeated", asking.route, *key),
            "%s asks the same %d times in one request at %s: %s; load them together",
            asking.route,
            count,
            entry.where,
            entry.sql,
        )
