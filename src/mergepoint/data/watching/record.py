"""What was seen of queries in this process, bounded, and written down for the command line.

Place:  watching.* -> [watching.record] -> a file beside the worker's socket -> cli.commands.db
Rule:   keeps statements without their values; the least costly are forgotten first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mergepoint.core.clock import Clock

ENTRIES_MAX = 500
"""Statements, by route and line, that are kept."""
WRITE_S = 2.0
"""How often the file is written at most."""
SQL_CHARACTERS_MAX = 2000
log = logging.getLogger("mergepoint.data")


@dataclass
class Seen:
    """One statement, from one line of the app, in one route."""

    database: str
    sql: str
    where: str
    route: str = ""
    calls: int = 0
    total_s: float = 0.0
    max_s: float = 0.0
    repeated_max: int = 0
    """How often it ran in one request, at the most."""
    slow: int = 0
    hint: str = ""
    """What an index would help, if it would."""


class Record:
    """Everything seen; safe for threads."""

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self.clock = clock
        self._file = file
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, str, str], Seen] = {}
        self._methods: dict[str, dict[str, Any]] = {}
        self._told: set[tuple[str, ...]] = set()
        self._written_s = 0.0

    def entry(self, database: str, sql: str, where: str, route: str) -> Seen:
        """Return the entry of this statement, made if it is new."""
        key = (database, sql[:SQL_CHARACTERS_MAX], where, route)
        with self._lock:
            found = self._seen.get(key)
            if found is None:
                if len(self._seen) >= ENTRIES_MAX:
                    cheapest = min(self._seen, key=lambda one: self._seen[one].total_s)
                    del self._seen[cheapest]
                found = self._seen[key] = Seen(key[0], key[1], key[2], key[3])
            return found

    def entries(self) -> list[Seen]:
        """Return what was seen, the most costly first."""
        with self._lock:
            return sorted(self._seen.values(), key=lambda one: -one.total_s)

    def method(self, where: str, name: str, took_s: float) -> None:
        """Count one call of a SQL method."""
        with self._lock:
            if name not in self._methods and len(self._methods) >= ENTRIES_MAX:
                return
            zero = {"where": where, "calls": 0, "total_s": 0.0, "max_s": 0.0}
            known = self._methods.setdefault(name, zero)
            known["calls"] += 1
            known["total_s"] += took_s
            known["max_s"] = max(known["max_s"], took_s)
        self.write_if_due()

    def warn(self, key: tuple[str, ...], text: str, *values: Any) -> None:
        """Log a warning, once for this key."""
        with self._lock:
            if key in self._told or len(self._told) >= ENTRIES_MAX:
                return
            self._told.add(key)
        log.warning(text, *values)

    def write_if_due(self) -> None:
        """Write the file, unless that was done a moment ago."""
        if self.clock.monotonic_s() - self._written_s >= WRITE_S:
            self.write()

    def write(self) -> None:
        """Write the file now, atomically; nothing happens where there is none."""
        self._written_s = self.clock.monotonic_s()
        if self._file is None:
            return
        with self._lock:
            document = {
                "schema": 1,
                "queries": [asdict(one) for one in self._seen.values()],
                "methods": self._methods,
            }
            text = json.dumps(document)
        beside = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):  # a worker may not fail for want of a hint
            beside.write_text(text)
            beside.chmod(0o600)
            beside.replace(self._file)
