"""Who has which job: the leases in force, in memory, and until when.

Place:  bus.hub.entries, bus.hub.groups -> [bus.hub.leases]
Rule:   no I/O; the disk says the same but for the time, which only counts while running.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mergepoint.bus.hub.queues import Queue


class Held:
    """A job in somebody's hands. `session` is None while its worker is not back from a restart."""

    __slots__ = (
        "attempt",
        "attempts_max",
        "bytes",
        "deadline_s",
        "expires_at",
        "id",
        "key",
        "lease_s",
        "priority",
        "queue",
        "seq",
        "session",
        "token",
        "troubled",
        "worker",
    )

    def __init__(
        self,
        *,
        seq: int,
        token: str,
        queue: Queue,
        id: str,  # noqa: A002
        key: str,
        priority: int,
        attempt: int,
        attempts_max: int,
        expires_at: float,
        bytes: int,  # noqa: A002
        worker: str,
        session: object,
        lease_s: float,
        deadline_s: float,
        troubled: bool,
    ) -> None:
        self.seq = seq
        self.token = token
        self.queue = queue
        self.id = id
        self.key = key
        self.priority = priority
        self.attempt = attempt
        self.attempts_max = attempts_max
        self.expires_at = expires_at
        self.bytes = bytes
        self.worker = worker
        self.session = session
        self.lease_s = lease_s
        self.deadline_s = deadline_s
        self.troubled = troubled


class Leases:
    """Every lease in force by its token, and the order in which they end."""

    def __init__(self) -> None:
        # Random for each start: a token from before a restart of the hub never means another job.
        self._start = secrets.token_hex(6)
        self._count = 0
        self._held: dict[str, Held] = {}
        self._sessions: dict[object, dict[str, Held]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(tuple(self._held.values()))

    def new_token(self) -> str:
        """Return a token that never was and never will be."""
        self._count += 1
        return f"{self._start}.{self._count:x}"

    def get(self, token: object) -> Held | None:
        """Return the lease in force, or None."""
        return self._held.get(token) if isinstance(token, str) else None

    def add(self, held: Held) -> None:
        """Put a lease in force."""
        self._held[held.token] = held
        self._sessions.setdefault(held.session, {})[held.token] = held
        heapq.heappush(self._ends, (held.deadline_s, held.token))

    def remove(self, held: Held) -> None:
        """End a lease; nothing to do for one that ended."""
        if self._held.pop(held.token, None) is None:
            return
        mine = self._sessions[held.session]
        del mine[held.token]
        if not mine:
            del self._sessions[held.session]

    def move(self, held: Held, session: object, deadline_s: float) -> None:
        """Hand a lease in force to another session."""
        self.remove(held)
        held.session = session
        held.deadline_s = deadline_s
        self.add(held)

    def extend(self, held: Held, lease_s: float, deadline_s: float) -> None:
        """Let a lease in force end at another time."""
        held.lease_s = lease_s
        held.deadline_s = deadline_s
        heapq.heappush(self._ends, (deadline_s, held.token))

    def of(self, session: object) -> list[Held]:
        """Return the leases of one session."""
        return list(self._sessions.get(session, {}).values())

    def ended(self, now_s: float, limit: int) -> list[Held]:
        """Return up to `limit` leases whose time is over; they stay in force until removed."""
        over: dict[str, Held] = {}
        while self._ends and len(over) < limit and self._ends[0][0] <= now_s:
            _, token = heapq.heappop(self._ends)
            held = self._held.get(token)
            # Extended since: its later end stands further down.
            if held is not None and held.deadline_s <= now_s:
                over[token] = held
        return list(over.values())

    def again(self, held: Held) -> None:
        """Let `ended` find this one again, which it returned but nobody could end."""
        heapq.heappush(self._ends, (held.deadline_s, held.token))

    def first_end_s(self) -> float | None:
        """Return when to ask `ended` next; early rather than late, None for never."""
        while self._ends:
            deadline_s, token = self._ends[0]
            held = self._held.get(token)
            if held is not None and held.deadline_s == deadline_s:
                return deadline_s
            heapq.heappop(self._ends)
        return None
