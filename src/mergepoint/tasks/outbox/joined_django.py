"""Joining Django's transactions: `atomic`, of any alias.

Place:  outbox.find -> [outbox.joined_django] -> django.db
Rule:   loaded only where the app has loaded Django; opens no connection by looking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from mergepoint.bus.contract import Accepted, Put
from mergepoint.tasks.outbox import rows
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.joined_dbapi import missing
from mergepoint.tasks.outbox.site import Site


@dataclass(frozen=True)
class JoinedDjango:
    """A connection of Django's within an atomic block, or with autocommit switched off."""

    connection: Any  # BaseDatabaseWrapper
    site: Site
    asynchronous: bool = False

    @property
    def where(self) -> str:
        """See `Joined`."""
        return f"Django's database {self.connection.alias!r}"

    @property
    def holds_queue(self) -> bool:
        """See `Joined`."""
        if self.connection.vendor != "postgresql":
            return False
        self.connection.ensure_connection()
        return self.site.holds_queue(self.connection.connection.info)

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        made = self.site.rows(queue, puts)
        call = rows.direct(queue) if self.holds_queue else rows.INSERT
        return [rows.told(put, self.ask(call, one)) for put, one in zip(puts, made, strict=True)]

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`; Django's own guard refuses it on an event loop's thread."""
        return self.put(queue, puts)

    def ask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(rows.marked(call, "%({})s", parameters), parameters)
                return cursor.fetchone()[0] if cursor.description else None
        except DatabaseError as error:
            raise missing(error) or error from None

    async def aask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        return self.ask(call, parameters)


def open_connections() -> Iterator[Any]:
    """Yield this thread's connections that have an open transaction."""
    for connection in connections.all(initialized_only=True):
        if is_open(connection):
            yield connection


def is_open(connection: Any) -> bool:
    """Tell whether a transaction is open, or will be with the next statement."""
    if connection.in_atomic_block:
        return True
    return connection.connection is not None and not connection.get_autocommit()


def plain(explicit: object) -> Any | None:
    """Return Django's connection for itself or its alias; None: another thing."""
    if isinstance(explicit, str):
        if explicit not in connections:
            known = ", ".join(connections)
            raise OutboxRefused(f"Django has no database {explicit!r}; it has {known}")
        return connections[explicit]
    inner = getattr(explicit, "_connections", None)
    if inner is not None and hasattr(explicit, "_alias"):
        return connections[explicit._alias]
    return explicit if isinstance(explicit, BaseDatabaseWrapper) else None


def check(connection: Any) -> None:
    """Refuse a connection that commits each statement, or whose transaction has failed."""
    if not is_open(connection):
        raise OutboxRefused(
            f"Django's database {connection.alias!r} is in autocommit",
            next="use `with transaction.atomic():`",
        )
    if connection.needs_rollback or connection.closed_in_transaction:
        raise OutboxRefused(
            f"the transaction of Django's database {connection.alias!r} has failed already",
            next="leave the atomic block first",
        )
