"""What `mergepoint run` prints: the first screen when the site is ready, then lines with prefixes.

Place:  assembly.serve -> [cli.run_reporter] -> stdout
Rule:   returns at once and never raises: it is called from the supervisor's loop.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping

from mergepoint.cli.access_line import short_access
from mergepoint.cli.board import Board
from mergepoint.cli.first_screen import first_screen
from mergepoint.cli.log_view import FAILURE_MARK
from mergepoint.cli.output import paint
from mergepoint.core.clock import Clock
from mergepoint.manifest.site import Site
from mergepoint.supervisor.report import LogLine, Progress, Step, StreamReporter

HELD_LINES_MAX = 400
"""Lines printed by processes before the first screen; shown after it, the oldest dropped."""
PATIENCE_S = 2.0
"""A start that takes longer says which app it is waiting for."""
QUIET_STEPS = frozenset({Step.STARTING, Step.DRAINING, Step.STOPPED})
"""Steps of an ordinary reload that a person need not read."""

BAD_STEPS = frozenset({Step.FAILED, Step.CRASHED, Step.REFUSED, Step.CONFIG_REFUSED, Step.KILLED})

Frameworks = Callable[[Site], Mapping[str, str]]


class RunReporter:
    """A `Reporter` for people in front of a terminal."""

    def __init__(self, clock: Clock, frameworks: Frameworks, *, keys: bool, verbose: bool) -> None:
        self._clock = clock
        self._frameworks = frameworks
        self._keys = keys
        self._verbose = verbose
        self._started_s = clock.monotonic_s()
        self._board: Board | None = None
        self._ready = False
        self._held: deque[LogLine] = deque(maxlen=HELD_LINES_MAX)
        self._colored = paint("x", "bold") != "x"
        self._lines = StreamReporter(sys.stdout, colour=True)
        self.logs = True
        """Whether lines of processes are printed; the key `l` turns this."""

    def begin(self, site: Site) -> None:
        """Say for which site the coming steps are; called again on every reload."""
        if self._board is None:
            self._board = Board(site, self._started_s)

    def progress(self, progress: Progress) -> None:
        """Take one step: collected until the site is ready, one line each afterwards."""
        now_s = self._clock.monotonic_s()
        if self._board is not None:
            self._board.take(progress, now_s)
        if progress.step is Step.SITE_READY:
            self._show_first_screen(now_s)
        elif self._ready or now_s - self._started_s > PATIENCE_S:
            self._show_step(progress)

    def line(self, line: LogLine) -> None:
        """Print one line of a process, or hold it until the first screen is out."""
        if not self._ready:
            self._held.append(line)
        elif self.logs:
            self._print(line)

    def _show_first_screen(self, now_s: float) -> None:
        if self._board is None or self._ready:
            return
        self._ready = True
        elapsed_s = self._board.elapsed_s(now_s)
        frameworks = self._frameworks(self._board.site)
        for text in first_screen(self._board, frameworks, elapsed_s, keys=self._keys):
            self._write(text)
        while self._held:
            self._print(self._held.popleft())

    def _show_step(self, progress: Progress) -> None:
        if progress.step in QUIET_STEPS and not self._verbose:
            return
        if progress.step is Step.FAILED and self._still_serves(progress.app):
            return  # a refused release follows, with the same reason
        bad = progress.step in BAD_STEPS
        place = progress.app.lstrip("@") or "mergepoint"
        place = place if progress.slot is None else f"{place}.{progress.slot}"
        words = str(progress.step).replace("_", " ")
        self._write(
            f"{place:<12} {paint(words, 'bad' if bad else 'ok')}  {progress.detail}".rstrip()
        )
        if progress.step is Step.REFUSED:
            self._write(f"{'':<12} the old release keeps serving; mend the app and save")
        if bad and progress.next:
            self._write(f"{'':<12} next: {progress.next}")

    def _still_serves(self, app: str) -> bool:
        entry = self._board.entries.get(app) if self._board else None
        return entry is not None and entry.state == "ready"

    def _print(self, line: LogLine) -> None:
        if FAILURE_MARK in line.text:
            return  # said again, and better, by the step that follows
        short = None if self._verbose else short_access(line.text)
        if short is not None:
            app, text, style = short
            self._write(f"{app or line.app:<12} {paint(text, style)}")
        elif self._colored:
            self._lines.line(line)
        else:
            self._write(f"{f'{line.app}.{line.slot}':<12} {line.text}")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):  # the terminal has gone; the site must not go with it
            self.logs = False
