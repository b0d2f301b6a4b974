"""One JSON object a line on standard error, as every process of a site writes.

Place:  tasks.runner.* -> [runner.log]
Rule:   never raises; what happened to a task carries its id, its name and its request.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import TaskRecord

TEXT_CHARACTERS_MAX = 2_000


class Log:
    """Writes lines for one process. Any: values are whatever JSON or `str` can write."""

    def __init__(self, clock: Clock, worker: str, out: TextIO | None = None) -> None:
        self._clock = clock
        self._worker = worker
        self._out = out

    def write(self, event: str, **fields: Any) -> None:
        """Write one line."""
        line = {
            "time": round(self._clock.unix_s(), 3),
            "event": event,
            "worker": self._worker,
            **{name: _short(value) for name, value in fields.items() if value not in ("", None)},
        }
        print(json.dumps(line, default=str), file=self._out or sys.stderr, flush=True)

    def task(self, event: str, record: TaskRecord, **fields: Any) -> None:
        """Write a line about a task."""
        self.write(
            event,
            task=record.id,
            name=record.spec.name,
            queue=record.spec.queue,
            attempt=record.attempt,
            request_id=record.spec.context.get("mprequestid", ""),
            **fields,
        )


def _short(value: Any) -> Any:
    return value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value
