"""Log lines for people and for programs.

Place:  cli.commands.logs -> [cli.log_view] -> stdout
Rule:   a prefix and the line as it was printed; JSON is one object per line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from mergepoint.cli.invocation import invocation
from mergepoint.cli.output import SCHEMA, data, paint
from mergepoint.supervisor.report import unfolded

PREFIX_STYLES = ("link", "ok", "warn", "bold")

FAILURE_MARK = "mergepoint-failure: "
"""What a worker prints for the supervisor; people read the traceback above it."""


class LogView:
    """Prints each ``{"line": ...}`` message; remembers which app has which colour."""

    def __init__(self) -> None:
        self._styles: dict[str, str] = {}
        self.shown = 0
        """How many lines were printed."""

    def show(self, message: dict[str, Any]) -> None:
        """Print one message; others than log lines are passed over."""
        line = message.get("line")
        if not isinstance(line, dict):
            return
        self.shown += 1
        if invocation().as_json:
            data(json.dumps({"schema": SCHEMA, **unfolded(line)}))
            return
        if FAILURE_MARK not in str(line.get("text", "")):
            data(self.text(line))

    def text(self, line: dict[str, Any]) -> str:
        """Return one line for people: time, app and slot, text."""
        app = str(line.get("app", ""))
        place = app if line.get("slot") is None else f"{app}.{line['slot']}"
        style = self._styles.setdefault(app, PREFIX_STYLES[len(self._styles) % len(PREFIX_STYLES)])
        clock = datetime.fromtimestamp(float(line.get("at", 0)), UTC).astimezone()
        prefix = paint(f"{clock:%H:%M:%S} {place:<12}", style)
        return f"{prefix} {line.get('text', '')}"
