"""The hub: reads the log when it is asked, answers pulls, and runs barriers.

Place:  cache_model.world -> [cache_model.hub] -> cache_model.database, cache_model.decisions
Rule:   an answer is made from a read begun after its request had arrived; one read at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mergepoint_testkit.cache_model import decisions
from mergepoint_testkit.cache_model.database import Database, Page
from mergepoint_testkit.cache_model.decisions import Pulled

TAGS_MAX = 5
"""More tags than this in one answer are a flush instead (10,000 in the product)."""


@dataclass(slots=True, eq=False)
class Message:
    """Something under way between an edge and the hub."""

    kind: str
    connection: int
    edge: str
    number: int = 0
    given: tuple[str | None, int] = (None, 0)
    pulled: Pulled | None = None
    """None in an answer says that the database cannot be read."""
    barrier: int = 0


@dataclass(slots=True, eq=False)
class Line:
    """One connection, as the hub sees it."""

    edge: str
    given: tuple[str | None, int] = (None, 0)
    """What that edge itself said it has."""


@dataclass(slots=True, eq=False)
class Read:
    """One read of the log, and who waits for it."""

    began: float
    requests: list[Message]
    page: Page | None = None
    done: bool = False


@dataclass(slots=True, eq=False)
class Barrier:
    """One barrier that has been read, until every edge has applied it."""

    request: Message
    arrived: float
    answer: Message
    waits: set[str]


@dataclass(slots=True, eq=False)
class Hub:
    """One start of the hub."""

    id: str
    started: float
    lease: int
    off: frozenset[str]
    lines: dict[int, Line] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    at: int = 0
    waiting: list[tuple[float, Message]] = field(default_factory=list)
    running: Read | None = None
    arrivals: dict[int, float] = field(default_factory=dict)
    barriers: dict[int, Barrier] = field(default_factory=dict)
    next_barrier: int = 1

    def connect(self, connection: int, edge: str) -> None:
        """Take a new connection."""
        self.lines[connection] = Line(edge)

    def notice_end(self, connection: int, now: float) -> None:
        """Learn that a connection has ended."""
        line = self.lines.pop(connection, None)
        if line:
            self.ended[line.edge] = now

    def take(self, message: Message, now: float) -> None:
        """Take a request; one of a connection that has ended is nothing."""
        line = self.lines.get(message.connection)
        if line is None:
            return
        if message.kind == "applied":
            one = self.barriers.get(message.barrier)
            if one:
                one.waits.discard(line.edge)
            return
        if message.kind == "pull":
            line.given = message.given
        if "I3-fresh" in self.off and self.running:
            self.running.requests.append(message)
            self.arrivals[message.number] = now
            return
        self.waiting.append((now, message))

    def begin_read(self, now: float) -> bool:
        """Begin to read for everybody who waits, unless a read is running."""
        if self.running or not self.waiting:
            return False
        self.running = Read(now, [message for _, message in self.waiting])
        self.arrivals.update({message.number: when for when, message in self.waiting})
        self.waiting.clear()
        return True

    def look(self, database: Database) -> bool:
        """Let the database take the read's snapshot."""
        if self.running is None or self.running.done:
            return False
        self.running.page = database.read_log() if database.reachable else None
        self.running.done = True
        return True

    def end_read(self, now: float) -> list[Message]:
        """Answer everybody the read was for; barriers go to the other edges first."""
        read = self.running
        if read is None or not read.done:
            return []
        self.running = None
        self.at += 1
        out: list[Message] = []
        for request in read.requests:
            arrived = self.arrivals.pop(request.number)
            line = self.lines.get(request.connection)
            if line is None:
                continue
            given = request.given if request.kind == "pull" else line.given
            pulled = self._pulled(given, read, now)
            answer = Message("answer", request.connection, line.edge, request.number, pulled=pulled)
            if request.kind == "pull" or pulled is None:
                out.append(answer)
            else:
                out += self._spread(Barrier(request, arrived, answer, set()), read, now)
        return out + self.finish(now)

    def _spread(self, barrier: Barrier, read: Read, now: float) -> list[Message]:
        number, self.next_barrier = self.next_barrier, self.next_barrier + 1
        out = []
        own = barrier.answer.edge
        for connection, line in self.lines.items():
            if line.edge != own:
                event = Message("event", connection, line.edge, barrier=number)
                event.pulled = self._pulled(line.given, read, now)
                barrier.waits.add(line.edge)
                out.append(event)
        for edge, ended in self.ended.items():
            if edge != own and decisions.present(False, ended, now, self.lease, self.off):
                barrier.waits.add(edge)
        self.barriers[number] = barrier
        return out

    def finish(self, now: float) -> list[Message]:
        """Answer the barriers that are over."""
        out = []
        for number, one in list(self.barriers.items()):
            verdict = decisions.barrier(
                len(one.waits), one.arrived, self.started, now, self.lease, self.off
            )
            if verdict == "answer":
                del self.barriers[number]
                out.append(one.answer)
        return out

    def _pulled(self, given: tuple[str | None, int], read: Read, now: float) -> Pulled | None:
        page = read.page
        if page is None:
            return None
        epoch, cursor = given
        tags: set[str] = set()
        for transaction, names in page.rows:
            if not cursor >> transaction & 1:
                tags |= names
        flush = epoch is None or len(tags) > TAGS_MAX
        flush = flush or ("I8" not in self.off and epoch != page.epoch)
        flush = flush or ("I7" not in self.off and bool(page.trimmed & ~cursor))
        left = self.lease if "I4-start" in self.off else self.lease - (now - read.began)
        return Pulled(page.epoch, page.snapshot, frozenset(tags), flush, left, self.at)
