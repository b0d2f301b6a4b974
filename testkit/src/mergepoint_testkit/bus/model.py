"""What queues are, in as few words as possible: the reference every engine is compared with.

Place:  bus.machine -> [bus.model]
Rule:   pure, and without time: leases end and jobs come due because a command says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mergepoint.bus.contract import EntryState, Put


@dataclass
class Job:
    """One message of one queue."""

    number: int
    queue: str
    put: Put
    state: EntryState = EntryState.READY
    attempt: int = 0
    """Deliveries that count."""
    returned: bool = False
    """It was out before: where it stands among jobs without a key is the engine's choice."""
    token: str = ""
    connection: int = -1
    died: int = 0

    @property
    def id(self) -> str:
        """The message's id."""
        return self.put.message.id


@dataclass
class Model:
    """Every queue of a bus."""

    priority: bool = True
    dedupe: bool = True
    jobs: list[Job] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    bindings: set[tuple[str, str]] = field(default_factory=set)
    steps: int = 0

    def put(self, queue: str, put: Put, *, delayed: bool = False) -> bool:
        """Accept a message; tell whether it is a repeat, which is dropped."""
        if self.dedupe and (queue, put.message.id) in self.seen:
            return True
        self.seen.add((queue, put.message.id))
        state = EntryState.DELAYED if delayed else EntryState.READY
        self.jobs.append(Job(self._next(), queue, put, state))
        return False

    def publish(self, topic: str, put: Put) -> None:
        """Put a message into every queue bound to exactly this topic."""
        for queue, pattern in sorted(self.bindings):
            if pattern == topic:
                self.jobs.append(Job(self._next(), queue, put))

    def free(self, queue: str) -> list[Job]:
        """Return what may be taken now: of each key the first that is not done."""
        ahead: set[str] = set()
        found = []
        for job in self._of(queue, EntryState.READY, EntryState.DELAYED, EntryState.LEASED):
            key = job.put.key
            if job.state is EntryState.READY and (not key or key not in ahead):
                found.append(job)
            if key:
                ahead.add(key)
        return found

    def allowed(self, queue: str) -> list[Job]:
        """Return what may be taken next: higher priority first, then older first."""
        free = self.free(queue)
        return [job for job in free if not any(self._before(one, job) for one in free)]

    def take(self, job: Job, token: str, connection: int) -> int:
        """Lease it; return the attempt."""
        job.state, job.token, job.connection = EntryState.LEASED, token, connection
        job.attempt += 1
        return job.attempt

    def holder(self, token: str) -> Job | None:
        """Return the job this token still holds."""
        held = [job for job in self.jobs if job.token == token]
        return held[0] if held else None

    def finish(self, job: Job) -> None:
        """It is done."""
        self.jobs.remove(job)

    def give_back(self, job: Job, *, burn: bool, delayed: bool = False) -> None:
        """It comes again, or is dead after the last attempt that counts."""
        job.token, job.connection, job.returned = "", -1, True
        if burn and job.attempt >= job.put.attempts_max:
            self.kill(job)
            return
        job.attempt -= 0 if burn else 1
        job.state = EntryState.DELAYED if delayed else EntryState.READY

    def kill(self, job: Job) -> None:
        """It is dead."""
        job.state, job.token, job.died = EntryState.DEAD, "", self._next()

    def abandon(self, connection: int, *, burn: bool) -> None:
        """Everything a connection holds comes back."""
        for job in list(self.jobs):
            if job.state is EntryState.LEASED and job.connection == connection:
                self.give_back(job, burn=burn)

    def dead(self, queue: str) -> list[Job]:
        """Return the dead letters, oldest first."""
        return sorted(self._of(queue, EntryState.DEAD), key=lambda job: job.died)

    def replay(self, job: Job) -> None:
        """It stands at the end again, with fresh attempts."""
        self.jobs.remove(job)
        put = replace(job.put, not_before=0.0)
        self.jobs.append(Job(self._next(), job.queue, put, returned=True))

    def drop(self, queue: str, ids: Iterable[str]) -> int:
        """Remove what waits."""
        wanted = set(ids)
        waiting = self._of(queue, EntryState.READY, EntryState.DELAYED)
        gone = [job for job in waiting if job.id in wanted]
        for job in gone:
            self.jobs.remove(job)
        return len(gone)

    def states(self, queue: str) -> dict[str, EntryState]:
        """Return where every message of a queue is."""
        return {job.id: job.state for job in self._of(queue, *EntryState)}

    def _before(self, one: Job, other: Job) -> bool:
        if self.priority and one.put.priority != other.put.priority:
            return one.put.priority > other.put.priority
        fresh = not one.returned and not other.returned
        return fresh and one.number < other.number

    def _of(self, queue: str, *states: EntryState) -> list[Job]:
        return [job for job in self.jobs if job.queue == queue and job.state in states]

    def _next(self) -> int:
        self.steps += 1
        return self.steps
