"""What the feed answers whom, and when: pulls, barriers, leases.

Place:  feed.service -> [feed.core] -> feed.history, feed.rounds
Rule:   no I/O and no clock: events go in with the time, actions come out. Why it is so stands in
        docs/reference/contracts.md, section 7; I3, I4 and I6 are kept here.

For each source at most one read runs. Whoever asks meanwhile waits for the next one, so that every
answer comes from a statement begun after its request had arrived. A source that does not answer
is told to be an error at once until a read of it succeeds: it delays nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergepoint.feed.contract import Audit, Batch, FeedLimits, Position
from mergepoint.feed.errors import FeedInvalid
from mergepoint.feed.history import History
from mergepoint.feed.requests import Applied, Hello, Pull, Request, asked
from mergepoint.feed.rounds import Ask, Rounds

Json = dict[str, Any]  # Any: whatever JSON holds


@dataclass(frozen=True, slots=True)
class Send:
    """Write this to an edge."""

    edge: int
    message: Json


@dataclass(frozen=True, slots=True)
class Drop:
    """End the connection of an edge."""

    edge: int


@dataclass(frozen=True, slots=True)
class Read:
    """Begin to read a source; `read_done` or `read_failed` follows."""

    source: str
    since: Position | None


Action = Send | Drop | Read


@dataclass(slots=True)
class Edge:
    """One connection that said hello."""

    name: str
    given: dict[str, Position | None] = field(default_factory=dict)
    waiting: int = 0
    tables: set[str] = field(default_factory=set)
    """Sources of which it was told the tables, and that are the same since."""


@dataclass(slots=True)
class _Source:
    name: str
    history: History
    audit: Audit = field(default_factory=Audit)
    waiting: list[Ask] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    """Whom the read that runs will answer."""
    reading: bool = False
    begun_s: float = 0.0
    stranger: Position | None = None
    """What the read that runs begins from, if that is not our own place."""
    down: str = ""
    retry_at_s: float = 0.0
    fresh_s: float | None = None
    """When the last read that succeeded began: every lease is counted from there."""


class Core:
    """Every edge and every source of one hub."""

    def __init__(self, hub: str, sources: Sequence[str], limits: FeedLimits, now_s: float) -> None:
        self._hub = hub
        self._limits = limits
        self._sources = {name: _Source(name, History(name, limits)) for name in sources}
        self._edges: dict[int, Edge] = {}
        self._actions: list[Action] = []
        self._rounds = Rounds(limits, now_s)

    def take(self) -> list[Action]:
        """Return what is to be done now, once."""
        taken, self._actions = self._actions, []
        return taken

    # --- what edges do ----------------------------------------------------------------------------

    def received(self, edge: int, message: object, now_s: float) -> None:
        """Take a line of an edge; whoever breaks the protocol is told why, and dropped."""
        try:
            self._request(edge, asked(message), now_s)
        except FeedInvalid as error:
            told = {"code": error.code, "message": error.message}
            self._actions += [Send(edge, {"error": told}), Drop(edge)]

    def closed(self, edge: int, now_s: float) -> None:
        """Note that an edge's connection ended: it may serve until its lease is over."""
        if self._edges.pop(edge, None) is None:
            return
        for source in self._sources.values():
            source.waiting = [ask for ask in source.waiting if ask.edge != edge]
            source.asks = [ask for ask in source.asks if ask.edge != edge]
        self._rounds.closed(edge, now_s)
        self._settle(now_s)

    def _hello(self, edge: int, request: Hello) -> None:
        if edge in self._edges:
            raise FeedInvalid("hello was said already")
        if len(self._edges) >= self._limits.edges_max:
            raise FeedInvalid(f"{self._limits.edges_max} edges are connected; no more are taken")
        self._edges[edge] = Edge(request.edge)
        told = {"hub": self._hub, "sources": list(self._sources)}
        bounds = {"lease_s": self._limits.lease_s, "poll_s": self._limits.poll_s}
        self._actions.append(Send(edge, {"id": request.id, **told, **bounds}))

    def _request(self, edge: int, request: Request, now_s: float) -> None:
        if isinstance(request, Hello):
            self._hello(edge, request)
        elif edge not in self._edges:
            raise FeedInvalid("the first request is hello")
        elif isinstance(request, Pull):
            self._pull(edge, request, now_s)
        elif isinstance(request, Applied):
            self._rounds.applied(edge, request.barrier)
            self._settle(now_s)
        else:
            self._edges[edge].given.update(self._known(request.sources))
            # All that anybody holds something of: the write may have been to any of them.
            held = {name for one in self._edges.values() for name in one.given}
            self._begin(Ask(edge, request.id, True, now_s, {}, held), now_s)

    def _pull(self, edge: int, request: Pull, now_s: float) -> None:
        known = self._known(request.sources)
        self._edges[edge].given.update(known)
        ask = Ask(edge, request.id, False, now_s, dict(known), set(known))
        ask.failed = dict.fromkeys(request.sources.keys() - known.keys(), "there is no such source")
        self._begin(ask, now_s)

    def _known(self, given: Mapping[str, Position | None]) -> dict[str, Position | None]:
        return {name: place for name, place in given.items() if name in self._sources}

    def _begin(self, ask: Ask, now_s: float) -> None:
        edge = self._edges[ask.edge]
        if edge.waiting >= self._limits.waiting_max:
            raise FeedInvalid(f"{self._limits.waiting_max} requests wait; ask for fewer at a time")
        edge.waiting += 1
        for name in list(ask.pending):
            source = self._sources[name]
            if source.down:
                self._fail(ask, source)
            else:
                source.waiting.append(ask)
                self._start(source, now_s)
        if not ask.pending:
            self._complete(ask, now_s)
        self._settle(now_s)

    # --- what sources do --------------------------------------------------------------------------

    def read_done(self, name: str, batch: Batch, now_s: float) -> None:
        """Take what a read found."""
        source = self._sources[name]
        source.reading, source.down = False, ""
        if source.stranger is not None:
            self._stranger_done(source, source.stranger, batch)
        else:
            source.fresh_s = source.begun_s
            source.history.add(batch, source.audit.relatives)
            asks, source.asks = source.asks, []
            for ask in asks:
                if source.history.knows(ask.given.get(name)):
                    ask.pending.discard(name)
                    if not ask.pending:
                        self._complete(ask, now_s)
                else:
                    source.waiting.append(ask)
        self._start(source, now_s)
        self._settle(now_s)

    def read_failed(self, name: str, why: str, now_s: float) -> None:
        """Take note that a source cannot be read; it is tried again after `retry_s`."""
        source = self._sources[name]
        source.reading, source.stranger = False, None
        self._mark_down(source, why, now_s)
        source.retry_at_s = now_s + self._limits.retry_s
        self._settle(now_s)

    def audited(self, name: str, audit: Audit) -> None:
        """Say which tables of a source are logged, by which columns, and which share rows."""
        source = self._sources[name]
        if audit.tables != source.audit.tables:
            for edge in self._edges.values():
                edge.tables.discard(name)
        source.audit = audit

    def tick(self, now_s: float) -> None:
        """Do what is due by now."""
        for source in self._sources.values():
            if source.reading and not source.down and now_s >= self._late_s(source):
                self._mark_down(source, f"no answer within {self._limits.answer_s:g} s", now_s)
            if source.down and not source.reading and now_s >= source.retry_at_s:
                self._start(source, now_s, probe=True)
        self._settle(now_s)

    def due_s(self) -> float | None:
        """Return when `tick` is wanted, None while nothing is due."""
        times = [at for at in (self._rounds.due_s(),) if at is not None]
        for source in self._sources.values():
            if source.reading and not source.down:
                times.append(self._late_s(source))
            elif source.down and not source.reading:
                times.append(source.retry_at_s)
        return min(times, default=None)

    def status(self, now_s: float) -> Json:
        """Return what is known of edges and sources, for people."""
        return {
            "hub": self._hub,
            "edges": [edge.name for edge in self._edges.values()],
            "sources": {
                name: {
                    "epoch": source.history.position.epoch if source.history.position else None,
                    "cursor": source.history.position.cursor if source.history.position else None,
                    "at": source.history.at,
                    "age_s": None if source.fresh_s is None else round(now_s - source.fresh_s, 3),
                    "error": source.down,
                }
                for name, source in self._sources.items()
            },
        }

    # --- inside -----------------------------------------------------------------------------------

    def _start(self, source: _Source, now_s: float, *, probe: bool = False) -> None:
        if source.reading or not (source.waiting or probe):
            return
        places = [ask.given.get(source.name) for ask in source.waiting]
        strange = [one for one in places if one is not None and not source.history.knows(one)]
        source.stranger = strange[0] if strange else None
        if source.stranger is None:
            source.asks, source.waiting = source.waiting, []
        source.reading, source.begun_s = True, now_s
        self._actions.append(Read(source.name, source.stranger or source.history.position))

    def _stranger_done(self, source: _Source, since: Position, batch: Batch) -> None:
        source.stranger = None
        if not source.history.add_stranger(batch, since, source.audit.relatives):
            for ask in source.waiting:
                if ask.given.get(source.name) == since:
                    ask.given[source.name] = None  # nothing to go on with: a flush

    def _late_s(self, source: _Source) -> float:
        return source.begun_s + self._limits.answer_s

    def _mark_down(self, source: _Source, why: str, now_s: float) -> None:
        source.down = why
        asks = [*source.asks, *source.waiting]
        source.asks, source.waiting = [], []
        for ask in asks:
            self._fail(ask, source)
            if not ask.pending:
                self._complete(ask, now_s)

    def _fail(self, ask: Ask, source: _Source) -> None:
        ask.pending.discard(source.name)
        ask.failed[source.name] = source.down
        if ask.barrier:
            # Nobody holds a lease longer than this for what cannot be read.
            last_s = source.fresh_s
            if last_s is not None:
                ask.hold_s = max(ask.hold_s, last_s + self._limits.lease_s)

    def _complete(self, ask: Ask, now_s: float) -> None:
        if ask.barrier:
            self._rounds.ready(ask)
        else:
            self._answer(ask, ask.given, now_s)

    def _settle(self, now_s: float) -> None:
        """Tell the other edges of barriers that are read, and answer those that are over."""
        number, asks = self._rounds.announce()
        for edge in self._edges if asks else ():
            others = [ask for ask in asks if ask.edge != edge]
            if others:
                told = self._told(self._edges[edge], self._edges[edge].given, {}, now_s)
                event = {"event": "barrier", "barrier": number, "sources": told}
                self._actions.append(Send(edge, event))
                self._rounds.wait_for(edge, others)
        for ask in self._rounds.over(now_s):
            if ask.edge in self._edges:
                self._answer(ask, self._edges[ask.edge].given, now_s)

    def _answer(self, ask: Ask, given: Mapping[str, Position | None], now_s: float) -> None:
        edge = self._edges[ask.edge]
        edge.waiting -= 1
        told = self._told(edge, given, ask.failed, now_s)
        self._actions.append(Send(ask.edge, {"id": ask.id, "sources": told}))

    def _told(
        self,
        edge: Edge,
        given: Mapping[str, Position | None],
        failed: Mapping[str, str],
        now_s: float,
    ) -> Json:
        """Return PULLED for each source, as of its last read."""
        told: Json = {name: {"error": why} for name, why in failed.items() if name not in given}
        for name, place in given.items():
            source = self._sources[name]
            why = failed.get(name) or source.down
            if why or source.fresh_s is None or source.history.position is None:
                told[name] = {"error": why or "it was not read yet"}
                continue
            seen = source.history.told(place)
            told[name] = {
                "epoch": seen.position.epoch,
                "cursor": seen.position.cursor,
                "tags": sorted(seen.tags),
                "flush": seen.flush,
                "lease_left_s": max(0.0, self._limits.lease_s - (now_s - source.fresh_s)),
                "at": seen.at,
            }
            if name not in edge.tables:
                edge.tables.add(name)
                tables = source.audit.tables
                told[name]["tables"] = {table: list(key) for table, key in tables.items()}
        return told
