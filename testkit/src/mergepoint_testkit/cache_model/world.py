"""One site in small: a database, a hub, two edges, clients, and what is under way between them.

Place:  cache_model.actions, cache_model.explore -> [cache_model.world]
Rule:   nothing happens by itself but what the clock brings; every other step is an action.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mergepoint_testkit.cache_model.database import Database, Transaction
from mergepoint_testkit.cache_model.edge import Edge, Hold
from mergepoint_testkit.cache_model.fills import Fills
from mergepoint_testkit.cache_model.hub import Hub, Message
from mergepoint_testkit.cache_model.promises import Promises

CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things live in a schedule, in ticks."""

    lease: int
    ttl: int
    stale_for: int
    wait: int
    """The longest a step may stand still."""


@dataclass(slots=True, eq=False)
class Write:
    """One write that came through an edge."""

    number: int
    client: int
    edge: Edge
    mode: str
    transaction: Transaction


@dataclass(slots=True, eq=False)
class World:
    """Everything there is."""

    pace: Pace
    off: frozenset[str]
    tracing: bool = False
    now: int = 0
    trace: list[str] = field(default_factory=list)
    database: Database = field(init=False)
    hub: Hub | None = field(init=False)
    edges: list[Edge] = field(init=False)
    fills: Fills = field(init=False)
    promises: Promises = field(init=False)
    wire: list[Message] = field(default_factory=list)
    late: list[Message] = field(default_factory=list)
    """What lies somewhere, on a connection that lasts or one that ended."""
    writes: list[Write] = field(default_factory=list)
    cookies: dict[int, int] = field(default_factory=dict)
    """Until when a client's cookie says that it wrote."""
    numbers: int = 0
    names: int = 0
    hubs: int = 0
    short: int = 0

    def __post_init__(self) -> None:
        self.database = Database(self.off)
        self.promises = Promises(self.database, self.pace.lease, self.say)
        self.fills = Fills(self)
        self.hub = None
        # The first start: nobody has served yet, so this hub has nobody to wait for.
        self.start_hub(-self.pace.lease - 1)
        self.edges = [self.new_edge(), self.new_edge()]

    # --- small things -----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Note what happened, where somebody reads along."""
        if self.tracing:
            self.trace.append(f"{self.now:>5}  {text}")

    def number(self) -> int:
        """Return a number that was never used."""
        self.numbers += 1
        return self.numbers

    @property
    def stale_for(self) -> int:
        """How long an entry may be served while it is refreshed."""
        return self.pace.stale_for

    def ttl(self) -> int:
        """Every third entry lives short, the others longer than a schedule."""
        self.short += 1
        return self.pace.ttl if self.short % 3 == 0 else 1_000_000

    def tick(self, ticks: int) -> None:
        """Let time pass, and do what became due."""
        self.now += ticks
        if self.hub and self.hub.barriers:
            self.wire += self.hub.finish(self.now)
        for edge in self.edges:
            if edge.holds:
                self.settle(edge)

    # --- the hub and its connections --------------------------------------------------------------

    def start_hub(self, started: int | None = None) -> None:
        """Start a hub that has met nobody."""
        self.hubs += 1
        begun = self.now if started is None else started
        self.hub = Hub(f"hub{self.hubs}", begun, self.pace.lease, self.off)
        self.say(f"{self.hub.id} starts")

    def new_edge(self) -> Edge:
        """Start an edge with an empty store."""
        self.names += 1
        edge = Edge("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[self.names % 26], self.pace.lease, self.off)
        self.connect(edge)
        return edge

    def connect(self, edge: Edge) -> None:
        """Connect an edge that knows it is not."""
        if self.hub is None or edge.source.connection:
            return
        connection = self.number()
        edge.connect(connection)
        self.hub.connect(connection, edge.name)
        self.say(f"edge {edge.name} connects to {self.hub.id}")

    def ask(self, edge: Edge, kind: str) -> int:
        """Send a question; return its number, 0 without a connection."""
        number = self.number()
        message = edge.ask(kind, number, self.now)
        if message is None:
            return 0
        self.wire.append(message)
        self.say(f"edge {edge.name} asks: {kind} {number}")
        return number

    def carry(self, message: Message) -> None:
        """Let one message arrive."""
        (self.late if message in self.late else self.wire).remove(message)
        if message.kind in ("pull", "barrier", "applied"):
            if self.hub:
                self.hub.take(message, self.now)
                self.wire += self.hub.finish(self.now)
            return
        for edge in self.edges:
            if edge.name == message.edge:
                verdict, reply = edge.take(message, self.now)
                self._say_taken(edge, message, verdict)
                self.wire += [reply] if reply else []
                self.settle(edge)
                self.fills.pulled()

    def _say_taken(self, edge: Edge, message: Message, verdict: str) -> None:
        if self.tracing:
            what = f"answer {message.number}" if message.number else f"barrier {message.barrier}"
            told = message.pulled
            tags = " ".join(sorted(told.tags)) or "nothing" if told else "no database"
            at = f" at {told.at}" if told else ""
            self.say(f"edge {edge.name} hears {what}{at} ({tags}): {verdict}")

    # --- writers ----------------------------------------------------------------------------------

    def hold(self, write: Write) -> None:
        """The app's complete answer to a write has arrived at the edge."""
        edge, mode = write.edge, write.mode
        keys = write.transaction.keys
        hold = Hold(write.number, write.client, keys, mode, self.now)
        if mode != "strict" or "I3-hold" in self.off:
            self._tell(hold, write, "not held")
            return
        self.writes.append(write)
        edge.holds.append(hold)
        self.say(f"edge {edge.name} holds the answer to write {write.number} ({mode})")
        self.ask_for(edge, hold)

    def ask_for(self, edge: Edge, hold: Hold) -> None:
        """Ask what a held answer waits for."""
        hold.number = self.ask(edge, "pull" if "I3-all" in self.off else "barrier")

    def settle(self, edge: Edge) -> None:
        """Let the held answers go that may."""
        for hold, why in edge.due(self.now):
            write = next(one for one in self.writes if one.number == hold.write)
            self.writes.remove(write)
            self._tell(hold, write, why)

    def _tell(self, hold: Hold, write: Write, why: str) -> None:
        stamps = write.transaction.stamps
        told = ", ".join(f"{key} = {stamp}" for key, stamp in stamps.items())
        self.say(f"client {write.client} hears that write {write.number} is done ({why}): {told}")
        if hold.mode == "none":
            return
        if hold.mode == "session":
            self.cookies[write.client] = self.now + self.pace.lease
        self.promises.tell(write.client, stamps, hold.mode, hold.arrived)
