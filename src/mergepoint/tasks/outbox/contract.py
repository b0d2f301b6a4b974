"""What an outbox promises to whoever enqueues: the message exists if and only if the data does.

Place:  tasks -> [outbox.contract] <- outbox.find, outbox.through_*
Rule:   a leaf: protocols and errors alone.

How it is used:

    joined = outbox.join(connection)          # None: no transaction is open here; put on the bus
    if joined is None:
        await engine.put(queue, puts)
    else:
        joined.put(queue, puts)               # or `await joined.aput(queue, puts)`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mergepoint.bus.contract import Accepted, Put
from mergepoint.bus.errors import BusError


class OutboxRefused(BusError):
    """A transaction is open that the message cannot be a part of; nothing was written."""

    code = "outbox.refused"


class OutboxMissing(BusError):
    """The database has no table `mergepoint_outbox`; nothing was written."""

    code = "outbox.missing"


class Joined(Protocol):
    """An open transaction of the app, which messages may be a part of.

    Made for one call: it holds the app's connection and must not be kept.
    """

    @property
    def where(self) -> str:
        """Name the transaction for people, as `SQLAlchemy Session on sqlite:///app.db`."""
        ...

    @property
    def asynchronous(self) -> bool:
        """Whether the connection belongs to an event loop, so that only `aput` reaches it."""
        ...

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Write the messages into the app's transaction; they are sent once it has committed.

        Rolled back, also to a savepoint, they never were. An id that was written before is
        accepted as a duplicate by the queue, later; `duplicate` is set where `holds_queue`, and
        the id is then that of the task which stands for this one. Raises
        `OutboxRefused` (also when `asynchronous`), `OutboxMissing`, and the driver's own error
        when the transaction is broken already.
        """
        ...

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Do the same from async code; a blocking connection blocks for one INSERT."""
        ...

    @property
    def holds_queue(self) -> bool:
        """Whether the queues, and the ledger of tasks, are in this very database."""
        ...

    def ask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """Run one call of `rows` in the transaction, where it holds the queue; its one column."""
        ...

    async def aask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """Do the same from async code."""
        ...


class Join(Protocol):
    """`mergepoint.tasks.outbox.join`."""

    def __call__(self, explicit: object = None) -> Joined | None:
        """Return the one open transaction of this thread and task, None when there is none.

        `explicit` is a SQLAlchemy Session, scoped_session, AsyncSession, Connection or
        AsyncConnection, a Django alias or connection, a psycopg connection (either kind), or an
        sqlite3 connection; it is joined whatever else is open. Without it only what was given to
        `outbox.watch`, and Django's atomic blocks, are found. Raises `OutboxRefused` when two
        are open, or one that is closed, in autocommit, or of another thread or task.
        """
        ...
