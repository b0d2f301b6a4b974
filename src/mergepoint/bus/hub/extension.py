"""What other code may add to the hub: operations of its own, in the hub's transactions.

Place:  bus.hub.groups -> [bus.hub.extension] <- tasks' ledger; joined by assembly
Rule:   a leaf; an extension sees the transaction it is in, and nothing else of the hub.

An operation `ledger.create` is handled by the extension registered as `ledger`. Everything it does
to `Transaction.db` is committed with the rest of its frame, or not at all: `{"ops": [...]}` may mix
its operations with `put`, `ack` and so on. Its answer leaves the hub after the commit.

It runs on the hub's only thread: one call is short (`CALL_S_MAX`), reads by index, and never waits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mergepoint.bus.contract import Accepted, Lease, Put
from mergepoint.wire.envelope import Message

CALL_S_MAX = 0.1
"""A call or tick that took longer is logged by its name: everybody waited for it."""


@dataclass(frozen=True)
class Reply:
    """What an operation answers: a value for the head, and bytes behind it."""

    value: Any = None
    """Any: whatever JSON holds."""
    parts: Sequence[bytes] = field(default=())


class Transaction(Protocol):
    """The write transaction that a call is part of; of no use after it returned."""

    @property
    def db(self) -> sqlite3.Connection:
        """The hub's connection, inside a transaction: never begin, commit or roll back.

        Tables of an extension begin with its name and `_`; others belong to the hub.
        """
        ...

    @property
    def unix_s(self) -> float:
        """Wall-clock seconds, the same for the whole transaction."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds that only ever grow, restarts included, whatever the wall clock does.

        For windows and lives; not for what a person set by the clock.
        """
        ...

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none, as the operation `put` does; raise `BusFull`."""
        ...

    def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove waiting messages; return how many there were."""
        ...

    def ack(self, tokens: Sequence[str]) -> list[str]:
        """Finish these leases; return the tokens that were lost."""
        ...

    def lease(self, token: str) -> Lease | None:
        """Return the lease in force with this token, without its message's data, or None."""
        ...

    def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Publish with the commit."""
        ...

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call this once the transaction is on the disk; not if it never is."""
        ...


class Extension(Protocol):
    """Operations with a common prefix; raise `BusError` to refuse, which undoes the frame."""

    def prepare(self, db: sqlite3.Connection) -> None:
        """Make or migrate the tables, inside the transaction that opens the file.

        Called once at every start. Raise `BusRefused` for tables that are newer than this code.
        """
        ...

    def call(
        self, op: str, head: Mapping[str, Any], parts: Sequence[bytes], tx: Transaction
    ) -> Reply:
        """Do the operation `op` (without the prefix); `head` is the call as it came."""
        ...

    def grows(self, op: str) -> bool:
        """Tell whether `op` needs room: refused with `BusFull` while the disk is full."""
        ...

    def due_s(self, tx: Transaction) -> float | None:
        """Return in how many seconds `tick` is wanted, None for not at all.

        Asked after every group in which a call or tick of this extension took part, and at the
        start; 0 for at once.
        """
        ...

    def tick(self, tx: Transaction) -> None:
        """Do what is due, a bounded part of it."""
        ...

    def checked(self, db: sqlite3.Connection) -> list[str]:
        """Return what is wrong with the tables, in words; [] for nothing. Part of `integrity`."""
        ...
