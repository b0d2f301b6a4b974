"""What every engine of the bus promises; adapters implement it, the doorway is its only caller.

Place:  bus.doorway -> [bus.contract] <- bus.adapters.*
Rule:   a leaf: values and protocols alone. docs/reference/bus.md says the same in prose.

Names. A topic or queue is segments of `[a-zA-Z0-9_-]` joined by dots, 200 characters at most. A
pattern may have `*` for one segment and `>` for one or more at its end. An address is `app`
(whoever serves it) or `app/instance` (that one alone).

Every method raises `BusLost` when the engine does not answer within `Limits.call_s`, `BusRefused`,
`BusFull` and `MessageTooLarge` as their docstrings say, and `BusClosed` after `close`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mergepoint.bus.capabilities import Capabilities
from mergepoint.wire.envelope import Message

PRIORITY_MIN, PRIORITY_MAX = 0, 9
NAME_CHARACTERS_MAX = 200


class State(StrEnum):
    """What a bus knows of its engine."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    CLOSED = "closed"


class Overflow(StrEnum):
    """What a live subscription does when its reader is slower than its topic."""

    GAP = "gap"
    """Drop the oldest and say how many: `Gap`."""
    WAIT = "wait"
    """Slow the publisher down, as far as the engine can; else refused at subscribing."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every bound of the bus: name, unit, default."""

    message_bytes_max: int = 1024 * 1024
    call_s: float = 5.0
    """How long one call to the engine may take before it is `BusLost`."""
    buffer_messages_max: int = 1_000
    """What one live subscription holds for a slow reader."""
    buffer_bytes_max: int = 16 * 1024 * 1024
    dedupe_s: float = 3600.0
    lease_s: float = 15.0
    """How long a job belongs to who took it; extended from outside the handler while it lives."""
    attempts_max: int = 5
    """Deliveries before a message is dead."""
    queue_messages_max: int = 1_000_000
    dead_messages_max: int = 100_000
    dead_s: float = 14 * 86400.0
    requests_max: int = 1_000
    """Requests in flight to one server of an address."""
    heartbeat_s: float = 2.0
    """Between two signs of life on a connection; two missing ones are a lost connection."""
    reconnect_s_max: float = 2.0
    """The longest pause between two attempts to connect."""


@dataclass(frozen=True, kw_only=True)
class Put:
    """A message for a queue, and how it wants to be treated.

    `not_before` is Unix seconds. `key`: messages of one key are handled one at a time in the
    order they were accepted. `id`s seen within `dedupe_s` are accepted and dropped.
    """

    message: Message
    not_before: float = 0.0
    priority: int = 4
    key: str = ""
    attempts_max: int = 0
    """0: the limit of the bus."""
    expires_at: float = 0.0
    """Unix seconds; a message not taken by then is dead with the reason `expired`. 0: never."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The engine has it: with its durability, on its disk."""

    id: str
    duplicate: bool = False


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A job, taken. `token` fences: it never comes again, and an old one completes nothing."""

    queue: str
    message: Message
    token: str
    attempt: int
    """1 at the first delivery; a return without a fault (`burn=False`) does not count."""
    expires_at: float
    key: str = ""
    handle: object = None
    """The engine's own; nobody else looks."""


class EntryState(StrEnum):
    """Where a message of a queue is."""

    READY = "ready"
    DELAYED = "delayed"
    LEASED = "leased"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A message of a queue, looked at without taking it."""

    queue: str
    message: Message
    state: EntryState
    attempt: int = 0
    not_before: float = 0.0
    priority: int = 4
    key: str = ""
    worker: str = ""
    reason: str = ""
    """Why it is dead, or why it was returned last."""
    at: float = 0.0
    """Unix seconds when it came into this state, as far as the engine knows."""


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """How a queue stands; None where the engine cannot count."""

    name: str
    ready: int
    delayed: int | None = None
    leased: int | None = None
    dead: int | None = None
    oldest_s: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TopicStats:
    """A topic that was published to or is listened to."""

    name: str
    published: int | None = None
    subscribers: int | None = None
    last: bool = False


@dataclass(frozen=True)
class Gap:
    """`lost` messages of this subscription are missing here; 0: at least one, nobody knows."""

    lost: int


@dataclass(frozen=True, kw_only=True)
class Member:
    """One process that is there."""

    address: str
    info: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0


class Change(StrEnum):
    """What happened to a member."""

    JOINED = "joined"
    UPDATED = "updated"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class PresenceChange:
    """One change of who is there; a watch begins with `JOINED` for everybody present."""

    change: Change
    member: Member


Handler = Callable[[Message], Awaitable[Message]]
"""Answers a request; an exception becomes `RemoteError` for who asked."""
OnState = Callable[[State, str], None]
"""Told of every change with a reason; called on the engine's loop, must not block."""


class Subscription(Protocol):
    """Messages of a pattern from now on; close it when done."""

    def __aiter__(self) -> AsyncIterator[Message | Gap]:
        """Yield messages in the order the engine had them, `Gap` where some are missing."""
        ...

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        ...


class Membership(Protocol):
    """The presence of this process at one address."""

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told about this member."""
        ...

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        ...


class PresenceWatch(Protocol):
    """Changes of who is there."""

    def __aiter__(self) -> AsyncIterator[PresenceChange]:
        """Yield who is there, then every change."""
        ...

    async def close(self) -> None:
        """End the iteration."""
        ...


class Serving(Protocol):
    """An address that is being served."""

    async def close(self) -> None:
        """Take no more requests, let those in hand be answered."""
        ...


class Engine(Protocol):
    """One engine, connected from one event loop; never shared between loops or forks."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do as it is configured; exact once `open` has returned."""
        ...

    async def open(self, on_state: OnState) -> None:
        """Connect; raise `BusLost` or `BusRefused` with what to do; later reconnect by itself."""
        ...

    async def close(self) -> None:
        """Stop everything that was started here; leases that are held go back unburnt."""
        ...

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Return when the engine has it; `keep_last` makes it the topic's present value."""
        ...

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        ...

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Return once nothing published from now on can be missed; `last`: present values first."""
        ...

    async def bind(self, queue: str, pattern: str) -> None:
        """Let every message published to `pattern` from now on be put into `queue`; idempotent."""
        ...

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that; what is in the queue stays."""
        ...

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none; `BusFull` when the queue or the disk has no room."""
        ...

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return up to `limit` jobs as soon as there is one, [] after `wait_s`.

        Higher priority first, then older first; within `worker`'s lifetime its death returns them.
        """
        ...

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost to somebody else. On disk when it returns."""
        ...

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back, to be taken after `delay_s`; the last attempt makes it dead.

        `burn=False` does not count this attempt. Raises `LeaseLost`.
        """
        ...

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead now, whatever attempts are left. Raises `LeaseLost`."""
        ...

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        ...

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove waiting, not leased messages; return how many there were. Needs `browse`."""
        ...

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, oldest first, beginning after the id `after`."""
        ...

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back with fresh attempts, as `message` if given. `NoSuchEntry`."""
        ...

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters for good; return how many there were."""
        ...

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int = 100, after: str = ""
    ) -> list[Entry]:
        """Return what is in a queue without taking it."""
        ...

    async def queues(self) -> list[QueueStats]:
        """Return every queue that exists, by name."""
        ...

    async def topics(self) -> list[TopicStats]:
        """Return topics that are known, by name; engines without memory know few."""
        ...

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """Return the one answer.

        Raises `NoSuchAddress`, `Unavailable`, `RequestTimeout` or `RemoteError`.
        """
        ...

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer requests to this address (`app/instance` also answers those to `app`)."""
        ...

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there, until left or gone."""
        ...

    async def watch(self, pattern: str) -> PresenceWatch:
        """Watch addresses: `*` for all, `tickets` for its instances."""
        ...
