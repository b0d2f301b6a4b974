"""Log the stack of a request that is about to pass its limit, before the worker is replaced.

Place:  host.start -> [host.limit] watches the requests of host.wsgi and host.asgi
Rule:   one report per request, bounded; a C timer speaks when code holds the interpreter lock.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from . import stacks

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTICE_SHARE = 0.9
"""When the report comes, of the limit: at the limit itself the worker is replaced."""
TICK_S_MAX = 1.0
TICK_S_MIN = 0.02
REPORTS_MAX = 8
"""Reports of one tick; a worker stuck as a whole shows the same stack in each."""


def waiting(records: Iterable[Any], reported: set[int]) -> list[Any]:
    """Return the records without an answer that no report has named yet; pure."""
    return [r for r in records if not r.answered and id(r) not in reported]


def overdue(records: Iterable[Any], reported: set[int], now_s: float, notice_s: float) -> list[Any]:
    """Return the unanswered, unreported records older than `notice_s`, oldest first; pure."""
    late = [r for r in waiting(records, reported) if now_s - r.started_s > notice_s]
    return sorted(late, key=lambda record: record.started_s)[:REPORTS_MAX]


def silence_s(records: Iterable[Any], reported: set[int], now_s: float, notice_s: float) -> float:
    """Return the seconds until a report may be due, of these records or one not yet here; pure."""
    due = [record.started_s + notice_s - now_s for record in waiting(records, reported)]
    soonest: float = min([notice_s, *due])
    return max(0.0, soonest)


class RequestWatch:
    """A thread that looks at the requests in flight; `in_flight` is the set the shim keeps."""

    def __init__(self, in_flight: set[Any], limit_s: float, label: dict[str, str]) -> None:
        self._in_flight = in_flight
        self._limit_s = limit_s
        self._notice_s = limit_s * NOTICE_SHARE
        self._tick_s = min(TICK_S_MAX, max(TICK_S_MIN, limit_s / 20))
        self._label = label
        self._reported: set[int] = set()

    def start(self) -> None:
        """Begin to watch; does nothing when there is no limit."""
        if self._limit_s > 0:
            self._arm(self._notice_s)  # here, so that the first request is already covered
            threading.Thread(target=self._run, name="mergepoint-limit", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._tick_s)
            now_s = time.monotonic()
            records = list(self._in_flight)
            self._reported &= {id(record) for record in records}
            for record in overdue(records, self._reported, now_s, self._notice_s):
                self._reported.add(id(record))
                self._report(record, now_s)
            self._arm(silence_s(records, self._reported, now_s, self._notice_s))

    def _arm(self, due_s: float) -> None:
        """Set the C timer to just after our own next report; it fires only if we cannot run."""
        # An stderr without a descriptor has no use for the timer; the reports still come.
        with contextlib.suppress(OSError, ValueError):
            faulthandler.dump_traceback_later(due_s + 2 * self._tick_s, file=2)

    def _report(self, record: Any, now_s: float) -> None:
        told = dict(self._label, **record.describe())
        told["age_s"] = round(now_s - record.started_s, 3)
        told["limit_s"] = self._limit_s
        text = record.stack()
        sys.stderr.write(f"mergepoint-stuck: {json.dumps(told)}\n{stacks.bounded(text)}\n")
        sys.stderr.flush()
