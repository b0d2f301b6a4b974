"""Requests of readers: hits, flights to the app, and those who wait for one.

Place:  cache_model.world -> [cache_model.fills] -> cache_model.decisions, cache_model.promises
Rule:   a mark is taken before the app is asked; a request is answered once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mergepoint_testkit.cache_model import decisions
from mergepoint_testkit.cache_model.decisions import Mark, Stored
from mergepoint_testkit.cache_model.edge import SOURCE, Edge, Entry
from mergepoint_testkit.cache_model.promises import Floors

if TYPE_CHECKING:
    from mergepoint_testkit.cache_model.world import World


@dataclass(frozen=True, slots=True)
class Content:
    """What a page is made from, and what its answer says about that."""

    keys: tuple[str, ...]
    tags: tuple[str, ...]
    known: bool = True
    """Otherwise the answer says `unknown`."""


PAGES = {
    "/one": Content(("x1",), ("d/x:id=1",)),
    "/list": Content(("x1", "x2"), ("d/x",)),
    "/both": Content(("x2", "y1"), ("d/x:id=2", "d/y:id=1")),
    "/odd": Content(("y1", "x1"), ("d/y:id=1",), known=False),
}
"""`/odd` also reads x1, by a way nobody can name; its tags are what a guess would be."""


@dataclass(slots=True, eq=False)
class Request:
    """One reader's request."""

    number: int
    client: int
    edge: Edge
    page: str
    linear: bool
    floors: Floors
    replica: bool
    pull: int = 0
    """The pull it asked for."""


@dataclass(slots=True, eq=False)
class Flight:
    """One request that went to the app."""

    number: int
    page: str
    edge: Edge
    owner: Request | None
    marks: dict[str, Mark]
    replica: bool
    ttl: int
    direct: bool = False
    """Past the cache: not stored, nobody joins."""
    waiters: list[Request] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class Fills:
    """Every request and flight of a schedule."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: list[Request] = []
        """For a pull."""
        self.flights: list[Flight] = []
        self.joinable: dict[tuple[str, str], Flight] = {}
        self.hits = 0
        self.reads = 0
        self.refused: dict[str, int] = {}

    def read(self, request: Request, state: str = "none") -> None:
        """Answer it, or find out what it has to wait for."""
        world, edge = self.world, request.edge
        verdict = decisions.prepare(
            edge.sources(),
            world.now,
            linear=request.linear,
            wrote=world.now <= world.cookies.get(request.client, -1),
            pull=state,
            off=world.off,
        )
        if verdict in ("pull", "wait"):
            request.pull = edge.under_way() if verdict == "wait" else 0
            request.pull = request.pull or world.ask(edge, "pull")
            if not request.pull:
                self.read(request, "failed")
                return
            edge.pulls[request.pull] = "none"
            self.waiting.append(request)
            return
        self._go(request, direct=verdict == "bypass")

    def _go(self, request: Request, *, direct: bool) -> None:
        world, edge, page = self.world, request.edge, request.page
        entry = edge.entries.get(page)
        verdict = "bypass"
        if not direct:
            stored = entry.stored if entry else None
            verdict = decisions.serve(stored, edge.sources(), world.now, world.off)
        if entry and verdict in ("hit", "stale"):
            self.hits += 1
            self._answer(request, entry.values, verdict.replace("stale", "hit, stale"))
            if verdict == "stale" and self._joined(edge, page) is None:
                self.fly(page, edge, None, replica=request.replica)
            return
        flight = None if verdict == "bypass" else self._joined(edge, page)
        if flight:
            world.say(f"request {request.number} waits for flight {flight.number}")
            flight.waiters.append(request)
        else:
            self.fly(page, edge, request, replica=request.replica, direct=verdict == "bypass")

    def _joined(self, edge: Edge, page: str) -> Flight | None:
        flight = self.joinable.get((edge.name, page))
        if flight is None or "I2-generation" in self.world.off:
            return flight
        return flight if decisions.join(flight.marks, edge.sources()) == "join" else None

    def fly(
        self, page: str, edge: Edge, owner: Request | None, *, replica: bool, direct: bool = False
    ) -> None:
        """Forward a request to the app."""
        world = self.world
        ttl = world.ttl()
        flight = Flight(world.number(), page, edge, owner, {SOURCE: edge.mark()}, replica, ttl)
        flight.direct = direct
        flight.left = list(PAGES[page].keys)
        self.flights.append(flight)
        if not direct:
            self.joinable[edge.name, page] = flight
        why = f"for request {owner.number}" if owner else "to refresh"
        past = " past the cache" if direct else ""
        world.say(f"edge {edge.name}: flight {flight.number} for {page} {why}{past}")

    def step(self, flight: Flight) -> None:
        """Let the app read one row more, or answer."""
        world = self.world
        if not flight.left:
            self._land(flight)
            return
        key = flight.left.pop(0)
        rows = world.database.replica if flight.replica else world.database.value
        flight.values[key] = rows[key]
        where = " from the replica" if flight.replica else ""
        world.say(f"flight {flight.number} reads {key} = {rows[key]}{where}")

    def _land(self, flight: Flight) -> None:
        world, edge, off = self.world, flight.edge, self.world.off
        self.flights.remove(flight)
        if self.joinable.get((edge.name, flight.page)) is flight:
            del self.joinable[edge.name, flight.page]
        content = PAGES[flight.page]
        known = content.known or "I12" in off
        tags = content.tags if known and (not flight.replica or "I10" in off) else None
        marks = {SOURCE: edge.mark()} if "I1-before" in off else flight.marks
        if flight.owner:
            straight = flight.replica
            self._answer(flight.owner, flight.values, "fill", lenient=straight)
        if not flight.direct:
            verdict = decisions.store(tags, marks, edge.sources(), world.now, off)
            world.say(f"edge {edge.name}: flight {flight.number} lands: {verdict}")
            if verdict == "stored" and tags:
                expires = world.now + flight.ttl
                stored = Stored(tags, expires, world.stale_for)
                edge.entries[flight.page] = Entry(flight.values, stored)
            else:
                self.refused[verdict] = self.refused.get(verdict, 0) + 1
        for request in flight.waiters:
            verdict = decisions.deliver(tags, marks, edge.sources(), world.now, off)
            if verdict == "deliver":
                self._answer(request, flight.values, f"waiter of flight {flight.number}")
            else:
                self.read(request, "done" if request.pull else "none")

    def pulled(self) -> None:
        """Let everybody go on whose pull has an answer."""
        for request in list(self.waiting):
            state = request.edge.pulls[request.pull]
            if request in self.waiting and state != "none":
                self.go_on(request, state)

    def go_on(self, request: Request, state: str) -> None:
        """Let one go on; `failed` is past the cache."""
        self.waiting.remove(request)
        self.read(request, state)

    def lose(self, edge: Edge) -> None:
        """The edge is gone, and everybody who waited in it."""
        for request in [one for one in self.waiting if one.edge is edge]:
            self.waiting.remove(request)
            self.world.promises.forget(request.floors)
        for flight in [one for one in self.flights if one.edge is edge]:
            self.flights.remove(flight)
            for request in [*flight.waiters, *([flight.owner] if flight.owner else [])]:
                self.world.promises.forget(request.floors)
        self.joinable = {at: one for at, one in self.joinable.items() if one.edge is not edge}

    def _answer(
        self, request: Request, values: dict[str, int], how: str, *, lenient: bool = False
    ) -> None:
        world = self.world
        self.reads += 1
        told = ", ".join(f"{key} = {stamp}" for key, stamp in values.items())
        text = f"{how} for client {request.client} at edge {request.edge.name}"
        world.say(f"request {request.number} is answered: {how}: {told}")
        world.promises.check(request.floors, values, world.now, text, lenient=lenient)
