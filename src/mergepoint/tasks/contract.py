"""What a task is, how it may be asked for, how it can end, and what a ledger must do.

Place:  tasks.declare, tasks.runner -> [tasks.contract] <- tasks.ledger.*, bus.adapters of databases
Rule:   a leaf: values and protocols alone. Transitions stand in tasks.states, decisions in
        tasks.settling; a ledger loads, asks those, and saves in one transaction.

The message of a task is put into the queue `tasks.<queue>`; its id is `TaskRecord.message_id`, it
carries no arguments: whoever takes it asks the ledger with `start`, which alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mergepoint.tasks.spec import Schedule, Spec
from mergepoint.tasks.states import TaskState


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a running task says it is."""

    done: float = 0.0
    total: float = 0.0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A task as the ledger knows it. Times are Unix seconds, 0 for not yet."""

    spec: Spec
    state: TaskState
    place: int = 0
    """Order of acceptance; what per-key order goes by."""
    generation: int = 0
    """Counts releases into the queue: a message of another generation is stale."""
    attempt: int = 0
    """Starts that count; snoozes, returns and crashes do not."""
    crashes: int = 0
    token: str = ""
    """Of whoever runs it; a finish with another one is refused."""
    worker: str = ""
    due_at: float = 0.0
    created_at: float = 0.0
    changed_at: float = 0.0
    started_at: float = 0.0
    touched_at: float = 0.0
    result: bytes = b""
    result_type: str = ""
    error: str = ""
    """Why it failed last, was cancelled or is dead."""
    progress: Progress = field(default_factory=Progress)
    permit_at: float = 0.0
    """When its rate lets it start; 0: it has not been asked for this attempt."""
    cancelling: bool = False
    """It runs, and somebody asked for its end."""
    keep_until: float = 0.0
    """When a final record and its result are forgotten; 0: kept."""

    @property
    def id(self) -> str:
        """The task's id."""
        return self.spec.id

    @property
    def message_id(self) -> str:
        """The id of the message that may start it now."""
        return message_id(self.spec.id, self.generation)


def message_id(task: str, generation: int) -> str:
    """Return the id of a task's message: its own at first, then with the generation."""
    return f"{task}.{generation}" if generation else task


@dataclass(frozen=True, kw_only=True)
class Release:
    """A task that must go into its queue now; it is `PENDING` until `confirm`."""

    id: str
    generation: int
    name: str
    queue: str
    priority: int = 4
    expires_at: float = 0.0
    app: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of one spec: its own task, or the one that `Unique` found first."""

    id: str
    duplicate: bool = False


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """What `enqueue` did; `releases` is empty where the ledger is the queue."""

    placed: tuple[Placed, ...]
    releases: tuple[Release, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Start:
    """Somebody has taken this message, under this token of its lease."""

    message_id: str
    token: str
    worker: str = ""


@dataclass(frozen=True, kw_only=True)
class Started:
    """The answer to one `Start`: run `record`, or (None) acknowledge the message and do nothing."""

    record: TaskRecord | None
    inputs: tuple[tuple[bytes, str], ...] = ()
    """Result and content type of every task in `Spec.after`."""
    reason: str = ""


class Ending(StrEnum):
    """How a run ended, as whoever ran it tells the ledger."""

    COMPLETED = "completed"
    FAILED = "failed"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    RETURNED = "returned"
    PARKED = "parked"
    GIVEN_UP = "given_up"
    """Dead at once, whatever attempts are left: undecodable, refused arguments."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The end of one run."""

    id: str
    token: str
    ending: Ending
    result: bytes = b""
    result_type: str = ""
    error: str = ""
    delay_s: float = 0.0
    """Of `SNOOZED`."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What the ledger made of a `Finish`; `lost`: the token was not the record's, nothing done."""

    id: str
    state: TaskState | None
    lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Answers to `finish` in order, and what was released by it."""

    settled: tuple[Settled, ...]
    releases: tuple[Release, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Touched:
    """Answer to `touch`: tasks that are lost to this worker, and those asked to end."""

    lost: tuple[str, ...] = ()
    cancelling: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Due:
    """Answer to `due`: what to put now, and when to ask again (Unix seconds; 0: unknown)."""

    releases: tuple[Release, ...] = ()
    next_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """A schedule in the ledger; `last_tick` is the newest that was fired or skipped."""

    schedule: Schedule
    last_tick: float


@dataclass(frozen=True, kw_only=True)
class QueueCount:
    """How many tasks of a queue are in a state, and since when the oldest is."""

    queue: str
    state: TaskState
    count: int
    oldest_at: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is due of a schedule: `fire` these ticks in order; if none, move on to `skip_to`."""

    fire: tuple[float, ...] = ()
    skip_to: float = 0.0
    """0: nowhere."""
    next_at: float = 0.0
    """Unix seconds of the next tick, 0 for none."""


class Ledger(Protocol):
    """The records of tasks. Every method is one transaction.

    Raises `BusLost` when the store does not answer, `BusFull` when it has no room. What returns
    releases has left them `PENDING`: put each (id `message_id`), then `confirm`; whoever dies in
    between leaves them to the next `due`, which gives them a new generation.
    """

    @property
    def is_queue(self) -> bool:
        """Whether releases are put in the same transaction, by the ledger itself."""
        ...

    @property
    def keeps_time(self) -> bool:
        """Whether it does by itself what `due` does; else runners ask for it."""
        ...

    async def enqueue(self, specs: Sequence[Spec]) -> Enqueued:
        """Record all or none."""
        ...

    async def confirm(self, released: Sequence[tuple[str, int]]) -> None:
        """These (id, generation) are in their queues."""
        ...

    async def start(self, starts: Sequence[Start]) -> list[Started]:
        """Decide for every message taken whether it runs, in order."""
        ...

    async def finish(self, finishes: Sequence[Finish]) -> Finished:
        """Settle runs and release what waited for them."""
        ...

    async def touch(self, tokens: Mapping[str, str]) -> Touched:
        """These tasks (id to token) are alive here; never takes back what was lost."""
        ...

    async def progress(self, task: str, token: str, progress: Progress) -> bool:
        """Say how far a run is; False when the run is somebody else's by now."""
        ...

    async def once(self, task: str, key: str, *, done: bool) -> bool:
        """`done=False`: was this effect of the task marked? `done=True`: mark it; False: it was."""
        ...

    async def due(self, limit: int = 500) -> Due:
        """Release what is due, sweep up what stayed pending or silent, forget what expired."""
        ...

    async def register(self, names: Sequence[str]) -> tuple[Release, ...]:
        """A runner knows these names: what was parked for want of them is released."""
        ...

    async def record(self, task: str) -> TaskRecord | None:
        """Return one record."""
        ...

    async def records(
        self,
        *,
        queue: str = "",
        name: str = "",
        group: str = "",
        states: Sequence[TaskState] = (),
        limit: int = 100,
        after: str = "",
    ) -> list[TaskRecord]:
        """Return records by id (which is by age), beginning after the id `after`."""
        ...

    async def counts(self) -> list[QueueCount]:
        """Return how many tasks each queue has in each state."""
        ...

    async def cancel(self, task: str, reason: str = "") -> Finished:
        """End a task: at once when it does not run, by asking its handler when it does.

        What waited for it is cancelled, too. Raises `NoSuchTask`.
        """
        ...

    async def replay(
        self,
        task: str,
        payload: bytes | None = None,
        content_type: str = "",
    ) -> tuple[Release, ...]:
        """Run a dead or cancelled task anew, with fresh attempts, at the end of its key's line.

        `payload` replaces its arguments. Raises `NoSuchTask` and `ImpossibleStep`.
        """
        ...

    async def discard(self, ids: Sequence[str]) -> int:
        """Forget final tasks; what waited for them is cancelled. Return how many there were."""
        ...

    async def schedule(self, schedules: Sequence[Schedule], app: str) -> list[ScheduleRow]:
        """Make these known and return the schedules of `app`, also those of its other versions.

        A new or retimed one begins now; one that is unchanged keeps its last tick.
        """
        ...

    async def plan(self, schedule: Schedule, last: float) -> Plan:
        """Decide what is due of a schedule now, for those who cannot read its cron line.

        Raises `ScheduleRefused`.
        """
        ...

    async def fire(self, name: str, previous: float, tick: float, spec: Spec | None) -> Enqueued:
        """Claim a tick and record its task, or skip it (None); nothing placed: somebody else did.

        `previous` is the last tick as the caller read it; it must still be.
        """
        ...
