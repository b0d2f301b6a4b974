"""What the relay asks of a database that has an outbox.

Place:  outbox.relay -> [outbox.relay_store] <- outbox.relay_sqlite, outbox.relay_postgres
Rule:   a leaf: values and one protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mergepoint.tasks.outbox.rows import Waiting


@dataclass(frozen=True)
class Lag:
    """How an outbox stands."""

    waiting: int
    parked: int
    oldest_s: float
    """Age of the oldest row that waits; 0 when none does."""


class Store(Protocol):
    """The table of one database; raises `StoreLost` when the database does not answer."""

    @property
    def name(self) -> str:
        """Name the database, without secrets."""
        ...

    async def lead(self) -> bool:
        """Connect, make the table, and become the one who relays; False: somebody else does."""
        ...

    async def claim(self, limit: int, without: Sequence[str]) -> list[Waiting]:
        """Return rows of these queues' others, oldest first; claimed until `settle` or `close`."""
        ...

    async def settle(self, done: Sequence[int], tried: Mapping[int, str], parked_at: float) -> None:
        """Delete rows, and note why others were refused; with a time, those are parked."""
        ...

    async def release(self) -> None:
        """Let go of what was claimed; a second call does nothing."""
        ...

    async def changed(self) -> bool:
        """Tell whether something may have been written since the last call."""
        ...

    async def lag(self, now: float) -> Lag:
        """Count."""
        ...

    async def close(self) -> None:
        """Lead no longer, and disconnect; a second call does nothing."""
        ...


class StoreLost(Exception):
    """The database did not answer; the words are its own."""
