"""Barriers: whom they wait for, and for how long.

Place:  feed.core -> [feed.rounds]
Rule:   pure; nobody who may still serve an old answer is left out, whatever its connection looks
        like (I3). No barrier waits longer than a lease: by then nobody serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mergepoint.feed.contract import FeedLimits, Position


@dataclass(slots=True)
class Ask:
    """One request that waits for reads."""

    edge: int
    id: Any  # Any: a number or a text, given back as it came
    barrier: bool
    arrived_s: float
    given: dict[str, Position | None]
    """Of a pull: where the edge is. A barrier waits for sources, it asks for no place."""
    pending: set[str]
    failed: dict[str, str] = field(default_factory=dict)
    hold_s: float = 0.0
    """Of a barrier: not answered before, unless its lease is over."""


@dataclass(slots=True)
class _Waiting:
    ask: Ask
    hold_s: float
    """Not answered before, unless its lease is over."""
    edges: dict[int, int] = field(default_factory=dict)
    """Who has to apply which barrier."""


class Rounds:
    """The barriers of one hub."""

    def __init__(self, limits: FeedLimits, now_s: float) -> None:
        self._lease_s = limits.lease_s
        # Who served under an earlier hub may do so until its lease is over.
        self._unseen_until_s = now_s + limits.lease_s
        self._ready: list[Ask] = []
        self._waiting: list[_Waiting] = []
        self._number = 0

    def ready(self, ask: Ask) -> None:
        """Note that everything a barrier asks for was read."""
        self._ready.append(ask)

    def announce(self) -> tuple[int, list[Ask]]:
        """Return a number and the barriers that the other edges are to be told of under it."""
        asks, self._ready = self._ready, []
        if asks:
            self._number += 1
        for ask in asks:
            self._waiting.append(_Waiting(ask, max(ask.hold_s, self._unseen_until_s)))
        return self._number, asks

    def wait_for(self, edge: int, asks: Iterable[Ask]) -> None:
        """Wait until this edge has applied what was just announced."""
        chosen = {id(ask) for ask in asks}
        for one in self._waiting:
            if id(one.ask) in chosen:
                one.edges[edge] = self._number

    def applied(self, edge: int, number: int) -> None:
        """Note that an edge has applied a barrier, and with it every earlier one."""
        for one in self._waiting:
            if one.edges.get(edge, number + 1) <= number:
                del one.edges[edge]

    def closed(self, edge: int, now_s: float) -> None:
        """Wait for what is left of the lease of an edge whose connection ended."""
        # It counts for barriers to come, too: it may be an edge that comes back.
        self._unseen_until_s = max(self._unseen_until_s, now_s + self._lease_s)
        self._ready = [ask for ask in self._ready if ask.edge != edge]
        self._waiting = [one for one in self._waiting if one.ask.edge != edge]
        for one in self._waiting:
            if one.edges.pop(edge, None) is not None:
                one.hold_s = max(one.hold_s, now_s + self._lease_s)

    def over(self, now_s: float) -> Iterator[Ask]:
        """Return the barriers that are to be answered now, once."""
        still: list[_Waiting] = []
        done: list[Ask] = []
        for one in self._waiting:
            applied = not one.edges and now_s >= one.hold_s
            over = applied or now_s >= one.ask.arrived_s + self._lease_s
            if over:
                done.append(one.ask)
            else:
                still.append(one)
        self._waiting = still
        return iter(done)

    def due_s(self) -> float | None:
        """Return when the next barrier is over though nothing happens."""
        times = [
            min(
                one.ask.arrived_s + self._lease_s,
                one.hold_s if not one.edges else float("inf"),
            )
            for one in self._waiting
        ]
        return min(times, default=None)
