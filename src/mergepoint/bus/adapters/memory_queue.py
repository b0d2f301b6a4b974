"""A queue in memory: what may be taken now, and what a lease may still do.

Place:  bus.adapters.memory -> [memory_queue]
Rule:   pure: no clock, no loop; the time and the holder are handed in, and every call is one step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mergepoint.bus.contract import (
    Accepted,
    Entry,
    EntryState,
    Lease,
    Limits,
    Put,
    QueueStats,
)
from mergepoint.bus.errors import BusFull, LeaseLost, NoSuchEntry
from mergepoint.wire.envelope import Message

Pick = Callable[[list["Job"]], "Job"]
"""Which of several jobs that may go goes; they are given in the order they should go."""


@dataclass(eq=False)
class Job:
    """One message of a queue, from accepted to done."""

    number: int
    put: Put
    attempts_max: int
    ready_at: float
    state: EntryState = EntryState.READY
    """READY while it waits, due or not; LEASED; DEAD."""
    attempt: int = 0
    token: str = ""
    worker: str = ""
    holder: object = None
    until: float = 0.0
    reason: str = ""
    at: float = 0.0
    repeats: int = 0
    """How often it comes again though it was finished: a fault that tests ask for."""

    @property
    def id(self) -> str:
        """The message's id."""
        return self.put.message.id

    @property
    def rank(self) -> tuple[int, float, int]:
        """Higher priority first, then older first."""
        return -self.put.priority, self.ready_at, self.number


@dataclass
class Queue:
    """One queue; `jobs` are in the order they were accepted."""

    name: str
    limits: Limits
    jobs: dict[int, Job] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    """Ids that were accepted, and until when a repeat is one."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    tokens: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    repeats: int = 0

    def put(self, puts: Sequence[Put], now: float) -> list[Accepted]:
        """Accept all or none; repeats are accepted and dropped."""
        self.seen = {id_: until for id_, until in self.seen.items() if until > now}
        answers: list[Accepted] = []
        fresh: dict[str, Put] = {}
        for put in puts:
            duplicate = put.message.id in self.seen or put.message.id in fresh
            answers.append(Accepted(id=put.message.id, duplicate=duplicate))
            if not duplicate:
                fresh[put.message.id] = put
        self.check_room(len(fresh))
        for put in fresh.values():
            self.seen[put.message.id] = now + self.limits.dedupe_s
            self._add(put, now)
        return answers

    def feed(self, message: Message, now: float) -> None:
        """Accept a message of a bound topic; see `check_room` first."""
        self._add(Put(message=message), now)

    def check_room(self, more: int) -> None:
        """Raise `BusFull` when so many more do not fit; dead letters do not count."""
        waiting = sum(job.state is not EntryState.DEAD for job in self.jobs.values())
        if waiting + more > self.limits.queue_messages_max:
            raise BusFull(
                f"queue {self.name} holds {waiting} messages and takes"
                f" {self.limits.queue_messages_max}; {more} more were put",
                next="mergepoint bus queues",
            )

    def sweep(self, now: float) -> None:
        """Take back what was held too long, and set aside what expired."""
        for job in list(self.jobs.values()):
            if job.state is EntryState.LEASED and job.until <= now:
                self._give_back(job, now, reason="the lease ended", burn=True)
            expires = job.put.expires_at
            if job.state is EntryState.READY and 0 < expires <= now:
                self._kill(job, now, "expired")
            if job.state is EntryState.DEAD and job.at + self.limits.dead_s <= now:
                del self.jobs[job.number]

    def take(
        self, now: float, *, worker: str, holder: object, lease_s: float, pick: Pick
    ) -> Lease | None:
        """Lease the job that should go next; None when none may go."""
        free = self.free(now)
        if not free:
            return None
        job = pick(free)
        job.state, job.attempt, job.at = EntryState.LEASED, job.attempt + 1, now
        job.token = f"{self.name}/{job.number}.{next(self.tokens)}"
        job.worker, job.holder, job.until = worker, holder, now + lease_s
        return Lease(
            queue=self.name,
            message=job.put.message,
            token=job.token,
            attempt=job.attempt,
            expires_at=job.until,
            key=job.put.key,
            handle=job.number,
        )

    def free(self, now: float) -> list[Job]:
        """Return what may be taken now, in the order it should be."""
        ahead: set[str] = set()
        free: list[Job] = []
        for job in self.jobs.values():
            if job.state is EntryState.DEAD:
                continue
            key = job.put.key
            waits = job.state is EntryState.READY and job.ready_at <= now
            if waits and (not key or key not in ahead):
                free.append(job)
            if key:
                ahead.add(key)
        return sorted(free, key=lambda job: job.rank)

    def ack(self, lease: Lease, now: float) -> bool:
        """Finish the job; False when the lease was lost."""
        job = self._held(lease)
        if job is None:
            return False
        if job.repeats:
            job.repeats -= 1
            self._give_back(job, now, reason="", burn=False)
        else:
            del self.jobs[job.number]
        return True

    def nack(self, lease: Lease, now: float, *, delay_s: float, reason: str, burn: bool) -> None:
        """Give it back; the last attempt that counts makes it dead."""
        job = self._held(lease) or _lost(lease)
        self._give_back(job, now, reason=reason, burn=burn)
        if delay_s > 0:
            job.ready_at = now + delay_s

    def bury(self, lease: Lease, now: float, reason: str) -> None:
        """Make it dead."""
        self._kill(self._held(lease) or _lost(lease), now, reason)

    def extend(self, lease: Lease, until: float) -> bool:
        """Hold it until then; False when the lease was lost."""
        job = self._held(lease)
        if job is not None:
            job.until = until
        return job is not None

    def abandon(self, holder: object, now: float, *, burn: bool) -> None:
        """Take back everything one connection holds."""
        for job in list(self.jobs.values()):
            if job.state is EntryState.LEASED and job.holder is holder:
                self._give_back(job, now, reason="the worker is gone", burn=burn)

    def replay(self, id_: str, now: float, message: Message | None) -> None:
        """Put a dead letter back at the end, with fresh attempts."""
        dead = self._dead_by_id(id_)
        del self.jobs[dead.number]
        put = replace(dead.put, message=message or dead.put.message, not_before=0, expires_at=0)
        self._add(put, now)

    def discard(self, ids: Iterable[str]) -> int:
        """Remove dead letters."""
        return self._remove(ids, EntryState.DEAD)

    def drop(self, ids: Iterable[str]) -> int:
        """Remove what waits."""
        return self._remove(ids, EntryState.READY)

    def entries(
        self, states: Sequence[EntryState], now: float, *, limit: int, after: str
    ) -> list[Entry]:
        """Return what is in these states behind `after`; dead letters by when they died."""
        rows = sorted(self.jobs.values(), key=lambda job: job.at) if _only_dead(states) else None
        found = [self._entry(job, now) for job in rows or self.jobs.values()]
        wanted = [entry for entry in found if entry.state in states]
        ids = [entry.message.id for entry in wanted]
        start = ids.index(after) + 1 if after in ids else 0
        return wanted[start : start + limit]

    def stats(self, now: float) -> QueueStats:
        """Return how it stands."""
        entries = [self._entry(job, now) for job in self.jobs.values()]
        count = {state: sum(one.state is state for one in entries) for state in EntryState}
        ready = [job.ready_at for job in self.jobs.values() if job.state is EntryState.READY]
        return QueueStats(
            name=self.name,
            ready=count[EntryState.READY],
            delayed=count[EntryState.DELAYED],
            leased=count[EntryState.LEASED],
            dead=count[EntryState.DEAD],
            oldest_s=max(0.0, now - min(ready)) if ready else None,
            bytes=sum(len(job.put.message.data) for job in self.jobs.values()),
        )

    def next_change(self, now: float) -> float:
        """Return the next time at which a job may go that may not go now; infinity for none."""
        times = [
            job.until if job.state is EntryState.LEASED else job.ready_at
            for job in self.jobs.values()
            if job.state is not EntryState.DEAD
        ]
        return min((time for time in times if time > now), default=float("inf"))

    def _add(self, put: Put, now: float) -> None:
        number = next(self.numbers)
        self.jobs[number] = Job(
            number=number,
            put=put,
            attempts_max=put.attempts_max or self.limits.attempts_max,
            ready_at=max(put.not_before, now),
            at=now,
            repeats=self.repeats,
        )

    def _held(self, lease: Lease) -> Job | None:
        job = self.jobs.get(lease.handle) if isinstance(lease.handle, int) else None
        held = job is not None and job.state is EntryState.LEASED and job.token == lease.token
        return job if held else None

    def _give_back(self, job: Job, now: float, *, reason: str, burn: bool) -> None:
        job.reason, job.worker, job.holder, job.token = reason, "", None, ""
        if burn and job.attempt >= job.attempts_max:
            self._kill(job, now, reason or "no attempts left")
            return
        job.attempt -= 0 if burn else 1
        job.state, job.at = EntryState.READY, now

    def _kill(self, job: Job, now: float, reason: str) -> None:
        job.state, job.reason, job.at = EntryState.DEAD, reason, now
        job.token, job.worker, job.holder = "", "", None
        # A letter that died later stands later, whatever it was when it was accepted.
        self.jobs[job.number] = self.jobs.pop(job.number)
        dead = [one for one in self.jobs.values() if one.state is EntryState.DEAD]
        for oldest in sorted(dead, key=lambda one: one.at)[: -self.limits.dead_messages_max]:
            del self.jobs[oldest.number]

    def _dead_by_id(self, id_: str) -> Job:
        for job in self.jobs.values():
            if job.state is EntryState.DEAD and job.id == id_:
                return job
        raise NoSuchEntry(f"queue {self.name} has no dead letter {id_}")

    def _remove(self, ids: Iterable[str], state: EntryState) -> int:
        wanted = set(ids)
        gone = [job for job in self.jobs.values() if job.state is state and job.id in wanted]
        for job in gone:
            del self.jobs[job.number]
        return len(gone)

    def _entry(self, job: Job, now: float) -> Entry:
        delayed = job.state is EntryState.READY and job.ready_at > now
        return Entry(
            queue=self.name,
            message=job.put.message,
            state=EntryState.DELAYED if delayed else job.state,
            attempt=job.attempt,
            not_before=job.ready_at,
            priority=job.put.priority,
            key=job.put.key,
            worker=job.worker,
            reason=job.reason,
            at=job.at,
        )


def _only_dead(states: Sequence[EntryState]) -> bool:
    return tuple(states) == (EntryState.DEAD,)


def _lost(lease: Lease) -> Job:
    raise LeaseLost(f"the lease of {lease.message.id} in queue {lease.queue} is lost")
