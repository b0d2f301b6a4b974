"""The SQL methods of one directory, as attributes.

Place:  data.site -> [methods.library] -> methods.parse, methods.run, methods.check
Rule:   every mistake at once, at the start; in development the files are read again when they
        change, and each statement is explained by the database.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mergepoint.data.contract import Databases
from mergepoint.data.errors import MethodsRefused
from mergepoint.data.methods import check, shapes
from mergepoint.data.methods.contract import Method, Mistake, Shape
from mergepoint.data.methods.parse import FILE_BYTES_MAX, Parsed, parse, together
from mergepoint.data.methods.run import AsyncCall, Call

FILES_MAX = 500
log = logging.getLogger("mergepoint.data")


@dataclass
class Timing:
    """How long the calls of one method took in this process."""

    calls: int = 0
    total_s: float = 0.0
    max_s: float = 0.0


class Library:
    """Methods by name; `NAME` is blocking, `aNAME` asynchronous."""

    def __init__(self, data: Databases, place: Path, database: str) -> None:
        self.data = data
        self.database = database
        self.kind = data.kind(database)
        self.bounds = data.bounds(database)
        self._place = place
        self._lock = threading.Lock()
        self._timings: dict[str, Timing] = {}
        self._load()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._reload()
        found = self._calls.get(name)
        if found is None:
            near = get_close_matches(name, self._calls, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"{self._place} has no SQL method {name!r}{hint}")
        return found

    def __dir__(self) -> list[str]:
        return sorted(self._calls)

    def __iter__(self) -> Iterator[Method]:
        return iter(list(self._methods.values()))

    def target(self, method: Method) -> Any:
        """Return the class of a method's rows, or None."""
        return self._targets.get(method.name)

    def tables(self, name: str) -> frozenset[str] | None:
        """Return the tables of a method; asked of the database once."""
        if name not in self._tables:
            self._tables[name] = check.tables(self.data.engines(self.database), self._methods[name])
        return self._tables[name]

    def timings(self) -> dict[str, Timing]:
        """Return how long the methods took in this process."""
        return dict(self._timings)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count one call."""
        began = self.data.clock.monotonic_s()
        try:
            yield
        finally:
            took = self.data.clock.monotonic_s() - began
            with self._lock:
                timing = self._timings.setdefault(name, Timing())
                timing.calls += 1
                timing.total_s += took
                timing.max_s = max(timing.max_s, took)
            record = self.data.record
            if record is not None:
                record.method(self._methods[name].where, name, took)

    def _load(self) -> None:
        seen = stamps(self._place)
        methods, targets = read(self._place, self.kind)
        if self.data.development:
            self._explain(methods)
        self._seen, self._methods, self._targets = seen, methods, targets
        self._tables: dict[str, frozenset[str] | None] = {}
        calls: dict[str, Call] = {}
        for name, method in methods.items():
            calls[name] = Call(self, method)
            calls[f"a{name}"] = AsyncCall(self, method)
        self._calls = calls

    def _explain(self, methods: dict[str, Method]) -> None:
        engines = self.data.engines(self.database)
        wrong = [
            Mistake(one.file, one.line, f"{one.name}: {said}")
            for one in methods.values()
            if (said := check.mistake(engines, one))
        ]
        if wrong:
            # A table may be made by a migration that is still to come: told, not refused.
            log.warning("the database refuses SQL methods:\n%s", "\n".join(map(str, wrong)))

    def _reload(self) -> None:
        if not self.data.development or stamps(self._place) == self._seen:
            return
        with self._lock:
            if stamps(self._place) != self._seen:
                self._load()


def read(place: Path, kind: str) -> tuple[dict[str, Method], dict[str, Any]]:
    """Return the methods for one kind of database, and the classes of their rows by name.

    Raises `MethodsRefused` with every mistake.
    """
    parsed = parsed_of(place)
    mistakes = list(parsed.mistakes)
    targets: dict[str, Any] = {}
    for method in parsed.methods:
        if method.target and method.shape is not Shape.SCALAR:
            try:
                targets[method.name] = shapes.find(method.target)
            except ValueError as error:
                mistakes.append(Mistake(method.file, method.line, str(error)))
    refuse(mistakes)
    chosen: dict[str, Method] = {}
    for method in parsed.methods:
        if method.dialect == kind or (not method.dialect and method.name not in chosen):
            chosen[method.name] = method
    return chosen, targets


def parsed_of(place: Path) -> Parsed:
    """Return everything the files hold."""
    parts = []
    for file in files(place):
        if file.stat().st_size > FILE_BYTES_MAX:
            what = f"{file.stat().st_size} bytes; a file takes {FILE_BYTES_MAX}"
            parts.append(Parsed((), (Mistake(file, 1, what),)))
            continue
        try:
            parts.append(parse(file.read_text("utf-8"), file))
        except UnicodeDecodeError:
            parts.append(Parsed((), (Mistake(file, 1, "is no UTF-8"),)))
    return together(parts)


def refuse(mistakes: list[Mistake]) -> None:
    """Raise `MethodsRefused` if there are any."""
    if mistakes:
        ordered = sorted(mistakes, key=lambda one: (str(one.file), one.line))
        raise MethodsRefused("\n".join(map(str, ordered)))


def files(place: Path) -> list[Path]:
    """Return the `.sql` files; raise `MethodsRefused` when there are none, or too many."""
    found = sorted(place.rglob("*.sql")) if place.is_dir() else [place]
    if not found or not place.exists():
        raise MethodsRefused(f"{place.absolute()} has no .sql files")
    if len(found) > FILES_MAX:
        raise MethodsRefused(f"{place} has {len(found)} .sql files; it takes {FILES_MAX}")
    return found


def stamps(place: Path) -> dict[Path, int]:
    """Return when each file was changed."""
    changed = {}
    for file in files(place):
        with contextlib.suppress(FileNotFoundError):
            changed[file] = file.stat().st_mtime_ns
    return changed
