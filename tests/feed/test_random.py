"""Any order of events: no tag is skipped, and nobody serves the old after a barrier was answered.

Place:  make test
Rule:   the real core, edges and a network that a seed decides; time is a number. A core with one
        rule taken out must be caught: a checker that cannot fail proves nothing.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mergepoint.feed import core as core_module
from mergepoint.feed.contract import Batch, Change, FeedLimits, Op, Position
from mergepoint.feed.core import Core, Drop, Read, Send
from mergepoint.feed.rounds import Rounds

LIMITS = FeedLimits(
    lease_s=1.0, answer_s=0.3, retry_s=0.1, tags_max=8, history_tags_max=12, history_reads_max=6
)
STEPS = 600
RUNS = int(os.environ.get("FEED_RUNS", "150"))
EDGES = 3
NORMAL = [20, 15, 15, 6, 130, 35, 1.5, 0.4, 0.4]
SLOW = [30, 15, 20, 10, 45, 18, 2, 0.5, 0.5]
"""How often time passes, ... as `World.run` lists them; slow: answers outlive leases."""


class Stale(AssertionError):
    """Somebody may serve what was changed before a barrier."""


@dataclass
class Edge:
    """As section 7 of the contracts has it."""

    name: str
    line: int = 0
    """Its connection; 0: none."""
    place: tuple[str, int] | None = None
    at: int = 0
    lease_s: float = 0.0
    asked: dict[int, tuple[float, int, int | None]] = field(default_factory=dict)
    """By request: when it was sent, on which connection, and the write its barrier is for."""


class World:
    def __init__(self, seed: object) -> None:
        self.dice = random.Random(f"{seed}")
        self.profile = self.dice.choice([NORMAL, SLOW])
        self.now_s = 50.0
        self.epoch, self.written = 1, 0
        self.lines = self.numbers = 0
        self.edges = [Edge(f"edge{n}") for n in range(EDGES)]
        self.released: list[int] = []
        self.start_hub()

    def start_hub(self) -> None:
        self.core = Core(f"hub{self.lines}", ["main"], LIMITS, self.now_s)
        self.read: tuple[Read, int, int] | None = None
        self.up: dict[int, deque[Any]] = {}
        self.down: dict[int, deque[Any]] = {}
        for edge in self.edges:
            edge.line = 0

    def run(self) -> None:
        for _ in range(STEPS):
            self.dice.choices(
                [self.passes, self.write, self.asks, self.barrier, self.delivers, self.reads,
                 self.cuts, self.restarts, self.crashes],
                self.profile,
            )[0]()  # fmt: skip
            self.act()

    def passes(self) -> None:
        self.now_s += self.dice.choice([0.001, 0.01, 0.05, 0.3])
        self.core.tick(self.now_s)

    def write(self) -> None:
        self.written += 1

    def crashes(self) -> None:
        """The log is emptied and numbered anew; what was read before cannot be continued."""
        self.epoch += 1
        self.written = 0

    def asks(self) -> None:
        self.send(self.dice.choice(self.edges), "pull", None)

    def barrier(self) -> None:
        """A write was answered by an app; its edge asks before it lets the answer go."""
        self.send(self.dice.choice(self.edges), "barrier", self.written)

    def send(self, edge: Edge, verb: str, write: int | None) -> None:
        if not edge.line:
            self.connect(edge)
        self.numbers += 1
        place = edge.place
        given = {
            "epoch": f"e{place[0]}" if place else None,
            "cursor": str(place[1]) if place else None,
        }
        self.up[edge.line].append({"id": self.numbers, "verb": verb, "sources": {"main": given}})
        # A write of an earlier epoch is lost with it: no later barrier is for it.
        edge.asked[self.numbers] = (self.now_s, edge.line, write and self.epoch << 32 | write)

    def connect(self, edge: Edge) -> None:
        self.lines += 1
        edge.line, edge.at = self.lines, 0
        self.up[edge.line], self.down[edge.line] = deque(), deque()
        self.up[edge.line].append({"id": 0, "verb": "hello", "edge": edge.name, "schema": 1})

    def delivers(self) -> None:
        waiting = [(line, True) for line, queue in self.up.items() if queue]
        waiting += [(line, False) for line, queue in self.down.items() if queue]
        if not waiting:
            return
        line, up = self.dice.choice(waiting)
        if up:
            self.core.received(line, self.up[line].popleft(), self.now_s)
        else:
            edge = next(one for one in self.edges if one.line == line)
            self.told(edge, self.down[line].popleft())

    def reads(self) -> None:
        if self.read is None:
            return
        read, begun, epoch = self.read
        self.read = None
        if self.dice.random() < 0.1:
            self.core.read_failed("main", "gone", self.now_s)
            return
        # What it shows is of some moment since it began.
        same = epoch == self.epoch
        end = self.dice.randint(begun, self.written) if same else self.written
        since = read.since
        gap = since is not None and since.epoch != f"e{self.epoch}"
        start = end if since is None or gap else int(since.cursor)
        changes = [Change("t", Op.INSERT, {"id": n}) for n in range(start + 1, end + 1)]
        batch = Batch(Position(f"e{self.epoch}", str(end)), changes, gap)
        self.core.read_done("main", batch, self.now_s)

    def cuts(self) -> None:
        edge = self.dice.choice(self.edges)
        if edge.line:
            del self.up[edge.line], self.down[edge.line]
            self.core.closed(edge.line, self.now_s)
            edge.line = 0

    def restarts(self) -> None:
        self.start_hub()

    def act(self) -> None:
        for action in self.core.take():
            if isinstance(action, Read):
                assert self.read is None
                self.read = (action, self.written, self.epoch)
            elif isinstance(action, Send):
                if action.edge in self.down:
                    self.down[action.edge].append(action.message)
            else:
                assert not isinstance(action, Drop), "no edge broke the protocol"

    def told(self, edge: Edge, message: dict[str, Any]) -> None:
        if "hub" in message:
            return
        asked = edge.asked.pop(message.get("id", 0), None)
        pulled = message["sources"].get("main")
        if pulled is not None and "error" not in pulled and pulled["at"] > edge.at:
            self.applied(edge, pulled)
            if asked is not None:
                ends_s = min(asked[0] + LIMITS.lease_s, self.now_s + pulled["lease_left_s"])
                edge.lease_s = max(edge.lease_s, ends_s)
        if "barrier" in message:
            self.up[edge.line].append({"verb": "applied", "barrier": message["barrier"]})
        elif asked is not None and asked[2] is not None and pulled and "error" not in pulled:
            self.release(asked[2])

    def applied(self, edge: Edge, pulled: dict[str, Any]) -> None:
        epoch, cursor = int(pulled["epoch"][1:]), int(pulled["cursor"])
        if not pulled["flush"]:
            assert edge.place is not None and edge.place[0] == epoch
            missing = {
                n for n in range(edge.place[1] + 1, cursor + 1)
                if f"main/t:id={n}" not in pulled["tags"]
            }  # fmt: skip
            if missing:
                raise Stale(f"{edge.name} went from {edge.place} to {cursor} without {missing}")
        edge.place, edge.at = (epoch, cursor), pulled["at"]

    def release(self, write: int) -> None:
        """The writer is told: from now on nobody may serve what was before."""
        epoch, number = write >> 32, write & 0xFFFFFFFF
        if epoch != self.epoch:
            return  # it was lost in a crash
        for edge in self.edges:
            if edge.lease_s > self.now_s and edge.place is not None:
                seen = edge.place[0] == epoch and edge.place[1] >= number
                if not seen:
                    raise Stale(
                        f"{edge.name} at {edge.place} may serve the old of {epoch}/{number}"
                    )
        self.released.append(number)


def explore(seed: object) -> int:
    world = World(seed)
    try:
        world.run()
    except AssertionError as error:
        raise type(error)(f"seed {seed!r}: {error}") from error
    return len(world.released)


def test_no_order_of_events_skips_a_tag_or_lets_somebody_serve_the_old() -> None:
    start = random.randrange(1 << 30)
    released = sum(explore(start + run) for run in range(RUNS))

    assert released > RUNS, "barriers must have been answered, or nothing was shown"


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A barrier does not wait for the other edges."""
    monkeypatch.setattr(Rounds, "wait_for", lambda *_: None)


def without_ghosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge whose connection ended is forgotten at once."""

    def closed(self: Rounds, edge: int, now_s: float) -> None:
        del now_s
        self._waiting = [one for one in self._waiting if one.ask.edge != edge]
        for one in self._waiting:
            one.edges.pop(edge, None)

    monkeypatch.setattr(Rounds, "closed", closed)


def without_the_first_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that just started takes itself for the first."""
    begin = Rounds.__init__

    def init(self: Rounds, limits: FeedLimits, now_s: float) -> None:
        begin(self, limits, now_s - limits.lease_s)

    monkeypatch.setattr(Rounds, "__init__", init)


def joining_a_read_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while a read runs is answered by that read."""
    start = Core._start

    def joins(self: Core, source: Any, now_s: float, *, probe: bool = False) -> None:
        if source.reading and source.stranger is None:
            source.asks += source.waiting
            source.waiting = []
        start(self, source, now_s, probe=probe)

    monkeypatch.setattr(Core, "_start", joins)


def leases_from_the_end_of_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease counts from when a read ended, and an edge from when it was told."""
    done = Core.read_done

    def late(self: Core, name: str, batch: Batch, now_s: float) -> None:
        self._sources[name].begun_s = now_s
        done(self, name, batch, now_s)

    def told(self: World, edge: Edge, message: dict[str, Any]) -> None:
        number = message.get("id", 0)
        if number in edge.asked:
            edge.asked[number] = (self.now_s, *edge.asked[number][1:])
        plain(self, edge, message)

    plain = World.told
    monkeypatch.setattr(Core, "read_done", late)
    monkeypatch.setattr(World, "told", told)


def a_known_position_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position whose changes were forgotten still counts as known."""
    history = core_module.History
    monkeypatch.setattr(
        history, "knows", lambda self, place: place is None or place.cursor in self._known
    )


def an_epoch_that_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cursors go on to count in another epoch."""
    add = core_module.History.add

    def same(self: Any, batch: Batch, relatives: Any) -> None:
        place = Position("e1", batch.position.cursor)
        add(self, Batch(place, batch.changes, gap=False), relatives)

    monkeypatch.setattr(core_module.History, "add", same)


FAULTS: list[Callable[[pytest.MonkeyPatch], None]] = [
    without_waiting, without_ghosts, without_the_first_lease, joining_a_read_that_runs,
    leases_from_the_end_of_a_read, a_known_position_for_ever, an_epoch_that_means_nothing,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_core_without_one_of_its_rules_is_caught(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    fault(monkeypatch)

    def caught() -> Iterator[bool]:
        for seed in range(1_000):
            try:
                explore(seed)
            except (AssertionError, KeyError):
                yield True
                return
        yield False

    assert next(caught()), f"1000 runs without {fault.__doc__}"


@pytest.mark.soak
def test_for_long_no_order_of_events_skips_a_tag_or_lets_somebody_serve_the_old() -> None:
    start = random.randrange(1 << 30)
    for run in range(200 * RUNS):
        explore(start + run)
