"""What is known about every app while a site starts: fed with progress, read by the first screen.

Place:  cli.run_reporter -> [cli.board] -> cli.first_screen
Rule:   no I/O; time comes in as a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mergepoint.core.endpoints import Failure
from mergepoint.manifest.site import Site
from mergepoint.supervisor.report import Progress, Step


@dataclass(slots=True)
class Entry:
    """One app as far as it has come."""

    name: str
    state: str = "starting"
    ready: set[int] = field(default_factory=set)
    after_s: float | None = None
    """Seconds from the start until its first process was ready."""
    failure: Failure | None = None


class Board:
    """The state of every app of a site that starts at `started_s`."""

    def __init__(self, site: Site, started_s: float) -> None:
        self.site = site
        self._started_s = started_s
        self.entries = {name: Entry(name) for name in site.apps}
        for name, app in site.apps.items():
            if not app.kind.has_processes:
                self.entries[name].state = "external"
        for name, failure in site.failures.items():
            self._fail(name, failure)

    def take(self, progress: Progress, now_s: float) -> Entry | None:
        """Take one step; return the entry it changed, if any."""
        entry = self.entries.get(progress.app)
        if entry is None:
            return None
        if progress.step is Step.READY:
            entry.state, entry.failure = "ready", None
            entry.ready.add(progress.slot or 0)
            if entry.after_s is None:
                entry.after_s = now_s - self._started_s
        elif progress.step is Step.CRASHED:
            entry.ready.discard(progress.slot or 0)
        elif progress.step in {Step.FAILED, Step.BACKOFF}:
            self._lost(entry, progress)
        else:
            return None
        return entry

    def failed(self) -> Iterable[Entry]:
        """Return the entries that do not serve."""
        return [entry for entry in self.entries.values() if entry.state == "failed"]

    def elapsed_s(self, now_s: float) -> float:
        """Return the seconds since the start."""
        return now_s - self._started_s

    def _lost(self, entry: Entry, progress: Progress) -> None:
        if entry.ready:
            return  # another process, or the old release, still serves
        entry.state = "failed"
        if progress.step is Step.FAILED or entry.failure is None:
            reason, where = split_detail(progress.detail)
            following = progress.next or f"mergepoint logs {entry.name}"
            entry.failure = Failure(reason, where, following)

    def _fail(self, name: str, failure: Failure) -> None:
        if name in self.entries:
            self.entries[name].state = "failed"
            self.entries[name].failure = failure


def split_detail(detail: str) -> tuple[str, str]:
    """Split ``chat/app.py:12: ModuleNotFoundError: ...`` into reason and place, if any."""
    head, colon, rest = detail.partition(": ")
    file, _, line = head.rpartition(":")
    if colon and file and line.isdigit() and " " not in file:
        return rest, head
    return detail, ""
