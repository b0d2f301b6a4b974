"""Judge what readers saw against what writers were told, in one pass.

Place:  tests of a whole site, load generators -> [cache_history]
Rule:   the judgement is a pure function of the history; the recorder only orders what it is told.

Every write adds one to the counter of its key (`UPDATE .. SET v = v + 1 .. RETURNING v`), so that
the newest of two values is the greater one, and judging needs no search.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What happened."""

    WRITE_BEGUN = "write-begun"
    ACKNOWLEDGED = "acknowledged"
    READ_BEGUN = "read-begun"
    READ = "read"
    AT_REST = "at-rest"
    """Everything has come to rest; `value` is what the database holds."""


class Promise(StrEnum):
    """What the readers may expect."""

    STRICT = "strict"
    """No read is older than any write acknowledged before it began."""
    SESSION = "session"
    """No read is older than a write its own client was told of before it began."""
    EVENTUAL = "eventual"
    """Reads after AT_REST are what the database holds; before it, anything that was written."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Those of one operation bear its number; a history is in order."""

    kind: Kind
    operation: int
    client: str
    key: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class Breach:
    """One read that should not have been."""

    operation: int
    client: str
    key: str
    value: int
    bound: int
    reason: str

    def __str__(self) -> str:
        return f"{self.client} read {self.key} = {self.value}: {self.reason} {self.bound}"


def judge(history: Iterable[Event], promise: Promise = Promise.STRICT) -> list[Breach]:
    """Return every breach of a promise, in order; linear in the history.

    Whatever the promise, no read may see more than the writes begun by the time it ended (each
    adds one, an unanswered one may have happened), and after AT_REST a read sees what the database
    holds.
    """
    begun: Counter[str] = Counter()
    floors: dict[tuple[str, str], int] = {}
    at_rest: dict[str, int] = {}
    due: dict[int, tuple[int, int | None]] = {}
    breaches: list[Breach] = []
    for event in history:
        owner = event.client if promise is Promise.SESSION else ""
        place = (owner, event.key)
        if event.kind is Kind.WRITE_BEGUN:
            begun[event.key] += 1
            at_rest.pop(event.key, None)
        elif event.kind is Kind.ACKNOWLEDGED:
            floors[place] = max(floors.get(place, 0), event.value)
        elif event.kind is Kind.AT_REST:
            at_rest[event.key] = event.value
        elif event.kind is Kind.READ_BEGUN:
            floor = 0 if promise is Promise.EVENTUAL else floors.get(place, 0)
            due[event.operation] = (floor, at_rest.get(event.key))
        else:
            breaches += _judge_read(event, *due.pop(event.operation), begun[event.key], at_rest)
    return breaches


def _judge_read(
    read: Event, floor: int, rest: int | None, begun: int, at_rest: dict[str, int]
) -> Iterator[Breach]:
    bound = (read.operation, read.client, read.key, read.value)
    if read.value < floor:
        yield Breach(*bound, floor, "acknowledged before it began was")
    if read.value > begun:
        yield Breach(*bound, begun, "the writes begun by then were")
    if rest is not None and at_rest.get(read.key) == rest != read.value:
        yield Breach(*bound, rest, "everything was at rest, and the database held")


class Recorder:
    """A history in the making; any thread may tell it, what it is told first stands first.

    Call `write_begun` and `read_begun` before the request is sent, `acknowledged` and `read` after
    the complete answer came. Both orders err to the reader's favour: nothing true is blamed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._open: dict[int, tuple[str, str]] = {}
        self._operations = 0

    def write_begun(self, client: str, key: str) -> int:
        """Record that a write is about to be sent; return its number."""
        return self._begin(Kind.WRITE_BEGUN, client, key)

    def acknowledged(self, operation: int, value: int) -> None:
        """Record that the writer has its answer: the counter is now at least `value`."""
        self._end(Kind.ACKNOWLEDGED, operation, value)

    def read_begun(self, client: str, key: str) -> int:
        """Record that a read is about to be sent; return its number."""
        return self._begin(Kind.READ_BEGUN, client, key)

    def read(self, operation: int, value: int) -> None:
        """Record what a reader was served."""
        self._end(Kind.READ, operation, value)

    def unanswered(self, operation: int) -> None:
        """Forget an operation without an answer. Its write may have happened all the same."""
        with self._lock:
            self._open.pop(operation, None)

    def at_rest(self, key: str, value: int) -> None:
        """Record what the database holds, once nothing writes and all news has spread."""
        with self._lock:
            self._operations += 1
            self._events.append(Event(Kind.AT_REST, self._operations, "", key, value))

    def history(self) -> tuple[Event, ...]:
        """Return what was recorded so far."""
        with self._lock:
            return tuple(self._events)

    def save(self, path: Path) -> None:
        """Write the history, one JSON object a line."""
        lines = [json.dumps(asdict(event)) for event in self.history()]
        path.write_text("".join(line + "\n" for line in lines))

    def _begin(self, kind: Kind, client: str, key: str) -> int:
        with self._lock:
            self._operations += 1
            self._open[self._operations] = (client, key)
            self._events.append(Event(kind, self._operations, client, key))
            return self._operations

    def _end(self, kind: Kind, operation: int, value: int) -> None:
        with self._lock:
            client, key = self._open.pop(operation)
            self._events.append(Event(kind, operation, client, key, value))


def load(path: Path) -> Iterator[Event]:
    """Read a saved history."""
    with path.open() as lines:
        for line in lines:
            stored = json.loads(line)
            yield Event(Kind(stored.pop("kind")), **stored)
