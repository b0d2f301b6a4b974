"""What may be asked of a task: its options, its schedule, and what its handler may answer.

Place:  tasks.declare, tasks.contract -> [tasks.spec] <- outboxes, manifests, handlers
Rule:   a leaf: values alone, each with its unit, its bound and its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mergepoint.tasks.states import TaskState

QUEUE_PREFIX = "tasks."
DELIVERIES_MAX = 1_000
"""`attempts_max` of a task's message: the ledger counts attempts and crashes, not the engine."""
PENDING_S = 5.0
"""How long a task may be recorded without being known to be queued, before it is put again."""
SILENT_S = 180.0
"""How long a running task may go without a `touch` before its message counts as lost."""
PAYLOAD_BYTES_MAX = 1024 * 1024
NAME_CHARACTERS_MAX = 200
KEY_CHARACTERS_MAX = 200
LINKS_MAX = 10_000
"""Tasks that one task may wait for: the size of a group with a join."""
ERROR_CHARACTERS_MAX = 8_192


class RunsIn(StrEnum):
    """Where a handler runs."""

    THREAD = "thread"
    """In a thread, beside others; told when it should stop."""
    LOOP = "loop"
    """In the event loop, beside others; cancelled when it should stop."""
    PROCESS = "process"
    """Alone in a process, which can be killed when its time is up."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses between attempts: `first_s * factor ** n`, at most `max_s`, less up to `jitter`."""

    first_s: float = 2.0
    """The first pause."""
    factor: float = 2.0
    """What each pause is multiplied by to give the next."""
    max_s: float = 3600.0
    """No pause is longer."""
    jitter: float = 0.25
    """The share of a pause that chance may take away: 0 none, 1 all."""


@dataclass(frozen=True, kw_only=True)
class Unique:
    """One task of a key at a time: while it is in `states`, and `period_s` from when it was made.

    `by` names the arguments the key is made of; empty means all of them.
    """

    states: tuple[TaskState, ...] = (
        TaskState.PENDING,
        TaskState.SCHEDULED,
        TaskState.HELD,
        TaskState.QUEUED,
        TaskState.RUNNING,
        TaskState.RETRYABLE,
        TaskState.PARKED,
    )
    period_s: float = 0.0
    """Seconds from when it was made that others are kept out, though it is done. 0: none."""
    by: tuple[str, ...] = ()
    """Names of arguments; empty: all of them."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most `count` starts in `per_s` seconds of one `bucket`; empty: the task's name."""

    count: int
    """Starts within `per_s`."""
    per_s: float
    """Seconds."""
    bucket: str = ""
    """Tasks that name the same one share a rate; empty: the name of the task."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a task wants to be treated; travels with it, so that a runner need not know it."""

    retries: int = 3
    """Attempts after the first."""
    backoff: Backoff = field(default_factory=Backoff)
    """Pauses between attempts."""
    timeout_s: float = 600.0
    """Seconds a run may take; then it is told to stop, and then stopped."""
    crashes_max: int = 5
    """Deaths of the process that ran it before it is dead as poison."""
    rate: Rate | None = None
    """How often it may start; None: as often as it can."""
    batch: int = 1
    """How many tasks one call of the handler may be given."""
    runs_in: RunsIn = RunsIn.THREAD
    """Where its handler runs; async functions run in the loop unless declared otherwise."""
    keep_result_s: float = 86400.0
    """Seconds a completed or cancelled task and its result are kept."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A task to be recorded. `id` is a UUIDv7; recording one id twice changes nothing."""

    id: str
    """UUIDv7."""
    name: str
    """The declared name; a name nobody knows is parked."""
    queue: str = "default"
    """Which queue of tasks."""
    payload: bytes = b""
    """`{"args": [...], "kwargs": {...}}`, written by the serializer."""
    content_type: str = "application/json"
    """What the payload is."""
    priority: int = 4
    """0 to 9, higher first; on engines without priorities three ranks: over, at, under 4."""
    key: str = ""
    """Tasks of one key in a queue run one at a time, in the order they were accepted."""
    unique_key: str = ""
    """Two tasks never have the same at a time; empty: no such key."""
    unique: Unique = field(default_factory=Unique)
    """While it keeps others of its unique key out."""
    not_before: float = 0.0
    """Unix seconds."""
    expires_at: float = 0.0
    """Unix seconds; not started by then it is dead. 0: never."""
    options: Options = field(default_factory=Options)
    """How it wants to be treated."""
    after: tuple[str, ...] = ()
    """Tasks that must be completed first; their results are `Started.inputs`, in this order."""
    group: str = ""
    """The group it is a member, or the join, of."""
    app: str = ""
    """The app that asked."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Extensions of the envelope: `mprequestid`, `traceparent`, `mpidentity`, `mplanguage`."""


class Missed(StrEnum):
    """What happens to ticks that nobody was there for."""

    SKIP = "skip"
    """Nothing is made up for."""
    ONE = "one"
    """One task stands for all of them."""
    ALL = "all"
    """Every one, oldest first, at most `Schedule.catch_up_max`."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A task that is due again and again: `cron` (five or six fields) or `every_s`."""

    name: str
    """Unique in the site."""
    task: str
    """Name of the task it starts."""
    queue: str = "default"
    """Which queue of tasks."""
    cron: str = ""
    """Minute, hour, day, month, weekday, and seconds where there are six."""
    every_s: float = 0.0
    """Seconds; ticks are whole multiples of it since 1970."""
    timezone: str = "UTC"
    """Of `cron`, by its name in the time zone database."""
    missed: Missed = Missed.ONE
    """What is made up for."""
    catch_up_max: int = 100
    """Ticks that `all` makes up for, the newest."""
    payload: bytes = b""
    """Arguments of every task it starts."""
    content_type: str = "application/json"
    """What the payload is."""
    options: Options = field(default_factory=Options)
    """Options of every task it starts."""
    priority: int = 4
    """Priority of every task it starts."""
    app: str = ""
    """The app it belongs to."""


# What a handler may return instead of a result; an exception is a failure.


@dataclass(frozen=True)
class Snooze:
    """Run this again after `seconds`; counts as no attempt."""

    seconds: float


@dataclass(frozen=True)
class Cancel:
    """End as cancelled, without another attempt: the task has become pointless."""

    reason: str = ""


@dataclass(frozen=True)
class Dead:
    """End as dead at once, whatever attempts are left: it can never succeed."""

    reason: str
