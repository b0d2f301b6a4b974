"""One edge: what it knows of the source, what it asks the hub, and whom it keeps waiting.

Place:  cache_model.world -> [cache_model.edge] -> cache_model.decisions
Rule:   every decision is one of `decisions`; here is only what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mergepoint_testkit.cache_model import decisions
from mergepoint_testkit.cache_model.decisions import Asked, Mark, Pulled, Source, Stored
from mergepoint_testkit.cache_model.hub import Message

SOURCE = "d"


@dataclass(slots=True, eq=False)
class Entry:
    """A stored answer."""

    values: dict[str, int]
    stored: Stored


@dataclass(slots=True, eq=False)
class Question:
    """A request to the hub that has no answer yet."""

    kind: str
    asked: Asked
    sent: float


@dataclass(slots=True, eq=False)
class Hold:
    """A writer's answer that is kept back."""

    write: int
    client: int
    keys: tuple[str, ...]
    mode: str
    arrived: float
    number: int = 0
    """The question it waits for; 0 when it has to be asked again."""
    needed: tuple[int, int] | None = None


@dataclass(slots=True, eq=False)
class Edge:
    """One edge process; it gets a new name when it starts again."""

    name: str
    lease: int
    off: frozenset[str]
    source: Source = field(default_factory=Source)
    entries: dict[str, Entry] = field(default_factory=dict)
    questions: dict[int, Question] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    pulls: dict[int, str] = field(default_factory=dict)
    """What became of the pulls that somebody waits for: `none`, `done` or `failed`."""

    def sources(self) -> dict[str, Source]:
        """Return what the decisions are given."""
        return {SOURCE: self.source}

    def mark(self) -> Mark:
        """Return how far this edge is now."""
        return Mark(self.source.generation, self.source.round)

    def connect(self, connection: int) -> None:
        """Take a new connection: the hub's numbers begin anew, everything else stays."""
        self.source.connection = connection
        self.source.at = 0

    def notice_end(self) -> None:
        """Learn that the connection has ended: whatever was asked has no answer."""
        self.source.connection = 0
        for number, state in self.pulls.items():
            self.pulls[number] = "failed" if state == "none" else state
        for hold in self.holds:
            if hold.needed is None and "I3-dropped" not in self.off:
                hold.number = 0

    def ask(self, kind: str, number: int, now: float) -> Message | None:
        """Ask the hub; None without a connection."""
        source = self.source
        if not source.connection:
            return None
        asked = Asked(source.connection, source.generation, source.epoch)
        self.questions[number] = Question(kind, asked, now)
        given = (source.epoch, source.cursor)
        return Message(kind, source.connection, self.name, number, given)

    def under_way(self) -> int:
        """Return a pull that has no answer yet and will count when it comes, or 0."""
        now = Asked(self.source.connection, self.source.generation, self.source.epoch)
        for number, question in self.questions.items():
            if question.kind == "pull" and question.asked == now:
                return number
        return 0

    def take(self, message: Message, now: float) -> tuple[str, Message | None]:
        """Take an answer or an event; return what was decided, and what is answered."""
        question = self.questions.pop(message.number, None) if message.number else None
        if message.number and question is None:
            return "unasked", None
        verdict = "error"
        if message.pulled:
            verdict = decisions.receive(
                question.asked if question else None,
                message.connection,
                message.pulled,
                self.source,
                self.off,
            )
            self._follow(verdict, message.pulled, question, now)
        if question:
            self._settle(message, verdict)
            return verdict, None
        ours = message.connection == self.source.connection
        reply = Message("applied", message.connection, self.name, barrier=message.barrier)
        return verdict, reply if ours and message.pulled else None

    def _follow(self, verdict: str, pulled: Pulled, question: Question | None, now: float) -> None:
        source = self.source
        if verdict not in ("apply", "flush"):
            return
        source.round += 1
        if verdict == "flush":
            source.generation += 1
            source.last.clear()
            source.forgotten = 0
            self._drop(None, now)
        else:
            source.last.update(dict.fromkeys(pulled.tags, source.round))
            self._drop(pulled.tags, now)
        source.epoch, source.cursor, source.at = pulled.epoch, pulled.cursor, pulled.at
        if question:
            began = now if "I4-start" in self.off else question.sent
            source.lease_end = max(
                source.lease_end, decisions.lease_end(began, self.lease, pulled.lease_left)
            )
        elif "I4-event" in self.off:
            source.lease_end = max(source.lease_end, now + pulled.lease_left)

    def _drop(self, tags: frozenset[str] | None, now: float) -> None:
        for page, entry in list(self.entries.items()):
            hit = tags is None or any(decisions.struck(t, tags) for t in entry.stored.tags)
            if not hit:
                continue
            if "I11" not in self.off:
                del self.entries[page]
            elif entry.stored.invalidated_at is None:
                old = entry.stored
                entry.stored = Stored(old.tags, old.expires, old.stale_for, now)

    def _settle(self, message: Message, verdict: str) -> None:
        seen = verdict in ("apply", "flush", "old")
        if message.number in self.pulls:
            self.pulls[message.number] = "done" if seen else "failed"
        for hold in self.holds:
            if hold.number != message.number:
                continue
            if message.pulled and (seen or "I3-dropped" in self.off):
                # Without the rule, whatever was applied last is good enough.
                at = min(message.pulled.at, self.source.at)
                hold.needed = (self.source.connection, at)
            else:
                hold.number = 0

    def forget(self, rounds: int) -> None:
        """Forget when tags were invalidated, but for the last rounds."""
        source = self.source
        if "I1-kept" in self.off:
            limit = source.round - rounds
        else:
            limit = source.forgotten = max(source.forgotten, source.round - rounds)
        source.last = {tag: when for tag, when in source.last.items() if when > limit}

    def due(self, now: float) -> list[tuple[Hold, str]]:
        """Return the writers' answers that may go, and why."""
        out = []
        for hold in list(self.holds):
            why = decisions.release(hold.arrived, now, self.lease, hold.needed, self.source)
            if why != "hold":
                self.holds.remove(hold)
                out.append((hold, why))
        return out
