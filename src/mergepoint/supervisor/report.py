"""What the supervisor tells people while it works: steps of processes and lines of logs.

Place:  supervisor.run, assembly.serve -> [supervisor.report] -> cli
Rule:   plain data and one protocol; a reporter must return at once and never raise.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TextIO


class Step(StrEnum):
    """Everything a person is told about; the words are part of the control protocol."""

    STARTING = "starting"
    """A process was started and is not serving yet."""
    READY = "ready"
    """A process answers its readiness check and takes requests."""
    FAILED = "failed"
    """A process could not be started, or ended before it was ready."""
    CRASHED = "crashed"
    """A serving process ended although nobody asked it to."""
    BACKOFF = "backoff"
    """The slot waits before its next start."""
    REFUSED = "refused"
    """A release did not prove itself; the old one keeps serving."""
    ROLLED = "rolled"
    """Every slot of the app runs the release that was asked for."""
    CANARY = "canary"
    """A share of the requests goes to the new release now, or no longer."""
    RECYCLED = "recycled"
    """A process is being replaced: request limit, age, memory or a stuck request."""
    SCALED = "scaled"
    """The number of slots changed."""
    DRAINING = "draining"
    """A process takes no new requests."""
    STOPPED = "stopped"
    """A process ended because it was asked to."""
    KILLED = "killed"
    """A process did not end in time and was killed."""
    ADOPTED = "adopted"
    """A process left by an earlier supervisor goes on serving."""
    CONFIG_REFUSED = "config_refused"
    """The manifest is broken; nothing was changed."""
    LOGS_LOST = "logs_lost"
    """Log lines could not be written to disk, or came faster than they can be read."""
    SITE_READY = "site_ready"
    """The edge accepts connections and every app is ready or has failed."""
    SITE_STOPPING = "site_stopping"
    SITE_STOPPED = "site_stopped"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step; `app` is empty for the site itself and ``edge`` for the edge."""

    step: Step
    app: str = ""
    slot: int | None = None
    detail: str = ""
    """One line for people; for `SITE_READY` the addresses joined by spaces."""
    next: str = ""
    """The next command, or empty."""

    def as_json(self) -> dict[str, Any]:
        """Return the object of a ``{"progress": ...}`` line."""
        return {"app": self.app, "slot": self.slot, "step": str(self.step), "detail": self.detail}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a process printed; `at` is seconds since 1970 when the supervisor read it."""

    at: float
    app: str
    slot: int
    stream: str
    """``output`` for workers; ``access`` and ``output`` for the edge; ``supervisor`` for ours."""
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return the object of a ``{"line": ...}`` line."""
        return {
            "at": self.at, "app": self.app, "slot": self.slot, "stream": self.stream,
            "text": self.text,
        }  # fmt: skip


def unfolded(line: dict[str, Any]) -> dict[str, Any]:
    """Return the object of a log line with an access entry as an object, not as JSON in a text.

    Its ``text`` is then ``request``; every other line is returned as it is.
    """
    text = str(line.get("text", ""))
    if line.get("stream") != "access" or not text.startswith("{"):
        return line
    try:
        request = json.loads(text)
    except ValueError:
        return line
    return {name: value for name, value in line.items() if name != "text"} | {"request": request}


class Reporter(Protocol):
    """Where progress and log lines go; given by the command line."""

    def progress(self, progress: Progress) -> None:
        """Tell a person about one step."""
        ...

    def line(self, line: LogLine) -> None:
        """Print one line of a process."""
        ...


COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class StreamReporter:
    """Prefixed lines, coloured on a terminal, and JSON lines everywhere else."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self._people = self._stream.isatty() if colour is None else colour
        self._colours: dict[str, int] = {}

    def progress(self, progress: Progress) -> None:
        """Print the step as a line of the app it is about."""
        if self._people:
            where = progress.app or "mergepoint"
            self._print(where, f"{progress.step}: {progress.detail}".rstrip(": "), progress.slot)
        else:
            self._write(json.dumps({"progress": progress.as_json()}))

    def line(self, line: LogLine) -> None:
        """Print one line with its app and slot in front."""
        if self._people:
            self._print(line.app, line.text, line.slot)
        else:
            self._write(json.dumps({"line": unfolded(line.as_json())}))

    def _print(self, app: str, text: str, slot: int | None) -> None:
        place = app if slot is None else f"{app}.{slot}"
        colour = self._colours.setdefault(app, COLOURS[len(self._colours) % len(COLOURS)])
        self._write(f"\x1b[{colour}m{place:<12}\x1b[0m {text}")

    def _write(self, text: str) -> None:
        # A closed terminal or a full disk must not end the site.
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return
