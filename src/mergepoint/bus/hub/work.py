"""One piece of work for the store, and what becomes of it.

Place:  bus.hub.queue_calls, bus.hub.topic_calls, bus.hub.server -> [bus.hub.work] -> bus.hub.groups
Rule:   data and callbacks; what is called after the commit must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.bus.errors import BusError
from mergepoint.bus.hub.arrivals import NewEntry
from mergepoint.bus.hub.holding import Taken

Fail = Callable[[BusError], None]


@dataclass(slots=True, eq=False)
class Work:
    """Anything that is done in a transaction; `run` may raise `BusError`, and then wrote nothing.

    Parts that may fail after they wrote have `apart` set: they are undone alone.
    """

    run: Callable[[], Any]
    then: Callable[[Any], None]
    """Called with what `run` returned once it is on the disk."""
    fail: Fail
    synced: bool = True
    """Whether its commit must survive a power cut before it is answered."""
    grows: bool = False
    """Whether it needs room: refused while the disk is full."""
    apart: bool = False


@dataclass(slots=True, eq=False)
class PutWork:
    """Messages for one queue; several are put with one statement."""

    queue: str
    entries: Sequence[NewEntry]
    then: Callable[[list[bool]], None]
    fail: Fail


@dataclass(slots=True, eq=False)
class AckWork:
    """Leases that are done; answered with the tokens that were lost."""

    tokens: Sequence[str]
    then: Callable[[list[str]], None]
    fail: Fail


@dataclass(slots=True, eq=False)
class TakeWork:
    """Somebody who wants jobs now, or as soon as there are some."""

    queues: Sequence[str]
    limit: int
    worker: str
    session: object
    lease_s: float
    waits: bool
    then: Callable[[list[Taken]], None]
    fail: Fail
    also: Callable[[Sequence[Taken]], Any] | None = None
    """What is done with them in the same transaction; its own failures are its own."""
    made: Any = None
    """What `also` returned."""
    over: bool = False
    """Answered, given up, or its connection is gone."""
    waiting: bool = False
    """Known to the store as somebody who waits."""


AnyWork = Work | PutWork | AckWork | TakeWork
