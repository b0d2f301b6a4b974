"""Show how a change of the running site goes on: live on a terminal, else plain lines.

Place:  cli.commands.{reload,restart,scale,stop} -> [cli.progress] -> stderr
Rule:   talk only; the answer itself is printed by the command.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from mergepoint.cli.invocation import invocation
from mergepoint.cli.output import paint, say

Json = dict[str, Any]

STEP_STYLES = {
    "ready": "ok",
    "rolled": "ok",
    "scaled": "ok",
    "adopted": "ok",
    "refused": "bad",
    "failed": "bad",
    "crashed": "bad",
    "killed": "bad",
    "config_refused": "bad",
    "backoff": "warn",
    "canary": "warn",
}
FINAL = frozenset({"rolled", "scaled", "refused", "failed", "stopped", "config_refused"})
"""Steps after which nothing more is expected from an app."""


class ProgressView:
    """Give each message of a running command to `show`; use as a context manager."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> ProgressView:
        asked = invocation()
        if sys.stderr.isatty() and asked.colors(sys.stderr) and not asked.quiet:
            self._live = _live(self._title)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, message: Json) -> None:
        """Take one ``{"progress": ...}`` message; others are passed over."""
        progress = message.get("progress")
        if not isinstance(progress, dict):
            return
        if self._live is None:
            say(plain_line(progress))
        else:
            self._draw(progress)

    def _draw(self, progress: Json) -> None:
        app, step = str(progress.get("app") or "site"), str(progress.get("step", ""))
        slot = progress.get("slot")
        place = app if slot is None else f"{app}.{slot}"
        text = f"{step} {progress.get('detail') or ''}".rstrip()
        if place not in self._tasks:
            self._tasks[place] = self._live.add_task(place, total=1, step=text)
        done = int(step in FINAL or step == "ready")
        self._live.update(self._tasks[place], step=text, completed=done)


def plain_line(progress: Json) -> str:
    """Return one progress object as a line: ``tickets.0   ready   0.4 s``."""
    app, slot = str(progress.get("app") or "site"), progress.get("slot")
    place = app if slot is None else f"{app}.{slot}"
    step = str(progress.get("step", ""))
    detail = str(progress.get("detail") or "")
    shown = paint(f"{step:<9}", STEP_STYLES.get(step, ""), err=True)
    return f"  {place:<14} {shown} {detail}".rstrip()


def _live(title: str) -> Any:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<14}", markup=False),
        TextColumn("{task.fields[step]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=False,
        disable=not title,
    )
