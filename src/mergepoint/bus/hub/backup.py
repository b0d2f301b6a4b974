"""A copy of the file while it is in use, in steps between the groups.

Place:  bus.hub.upkeep -> [bus.hub.backup] -> SQLite's backup API
Rule:   over the hub's own connection; the copy is whole or not there.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

PAGES = 512
"""Pages copied while a group waits."""
STEP_S_MAX = 60.0


class Backup:
    """One copy. `step` runs while no transaction is open, until `done`."""

    def __init__(self, source: sqlite3.Connection, target: Path) -> None:
        self.done = False
        self.error: BaseException | None = None
        self._source = source
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="backup", daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Copy some pages; raise what went wrong."""
        if self.done:
            return
        self._go.release()
        if not self._paused.acquire(timeout=STEP_S_MAX):
            raise TimeoutError(f"the backup did not move for {STEP_S_MAX:g} s")
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._copy()
        except (sqlite3.Error, OSError) as error:
            self.error = error
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
        self.done = True
        self._paused.release()

    def _copy(self) -> None:
        self._target.parent.mkdir(mode=0o700, exist_ok=True)
        self._part.unlink(missing_ok=True)
        os.close(os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(self._part, check_same_thread=False)) as target:
            target.execute("PRAGMA synchronous = OFF")  # synced once, below
            self._source.backup(target, pages=PAGES, progress=self._pause, sleep=0.001)
        with self._part.open("rb+") as file:
            os.fsync(file.fileno())
        self._part.replace(self._target)

    def _pause(self, _status: int, remaining: int, _total: int) -> None:
        if remaining:
            self._paused.release()
            self._go.acquire()
