"""Joining SQLAlchemy's transactions: Session, AsyncSession, Connection, AsyncConnection.

Place:  outbox.find, outbox.watching -> [outbox.joined_sqlalchemy] -> sqlalchemy
Rule:   loaded only where the app has loaded SQLAlchemy (2.0 or newer); begins nothing by looking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util.concurrency import greenlet_spawn, in_greenlet

from mergepoint.bus.contract import Accepted, Put
from mergepoint.tasks.outbox import rows
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.joined_dbapi import accepted, missing
from mergepoint.tasks.outbox.site import Site


@dataclass(frozen=True)
class JoinedSqlalchemy:
    """A Session or a Connection; both kinds of each."""

    target: Session | Connection
    engine: Engine
    site: Site

    @property
    def where(self) -> str:
        """See `Joined`."""
        url = self.engine.url.render_as_string(hide_password=True)
        return f"a SQLAlchemy {type(self.target).__name__} on {url}"

    @property
    def asynchronous(self) -> bool:
        """See `Joined`."""
        return bool(self.engine.dialect.is_async)

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`; of an asynchronous engine only within `run_sync`."""
        self._refuse_loop()
        return self._write(queue, puts)

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        if not self.asynchronous:
            return self._write(queue, puts)
        return list(await greenlet_spawn(self._write, queue, puts))

    def ask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`; of an asynchronous engine only within `run_sync`."""
        self._refuse_loop()
        return self._asked(call, parameters)

    async def aask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        if not self.asynchronous:
            return self._asked(call, parameters)
        return await greenlet_spawn(self._asked, call, parameters)

    def _refuse_loop(self) -> None:
        if self.asynchronous and not in_greenlet():
            raise OutboxRefused(
                f"{self.where} belongs to an event loop", next="await the asynchronous call"
            )

    def _write(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        made = self.site.rows(queue, puts)
        if self.holds_queue:
            call = rows.direct(queue)
            return [
                rows.told(put, self._asked(call, one)) for put, one in zip(puts, made, strict=True)
            ]
        connection = self._connection()
        columns = [{name: one[name] for name in rows.COLUMNS} for one in made]
        try:
            connection.execute(text(rows.marked(rows.INSERT, ":{}", rows.COLUMNS)), columns)
        except DBAPIError as error:
            raise missing(error) or error from None
        return accepted(puts)

    def _asked(self, call: str, parameters: Mapping[str, Any]) -> Any:
        statement = text(rows.marked(call, ":{}", parameters))
        try:
            return self._connection().execute(statement, dict(parameters)).scalar()
        except DBAPIError as error:
            raise missing(error) or error from None

    def _connection(self) -> Connection:
        connection = connection_of(self.target)
        _refuse_autocommit(connection, self.where)
        return connection

    @property
    def holds_queue(self) -> bool:
        """See `Joined`."""
        url = self.engine.url
        if self.engine.dialect.name != "postgresql":
            return False
        query = {name: str(value) for name, value in url.query.items()}
        host = query.get("host", url.host or "localhost")
        port = query.get("port", str(url.port or 5432))
        return self.site.holds_queue_at(host, port, url.database or "")


def connection_of(target: Session | Connection) -> Connection:
    """Return the connection of the open transaction; raise `OutboxRefused`."""
    try:
        connection = target.connection() if isinstance(target, Session) else target
    except SQLAlchemyError as error:
        raise OutboxRefused(f"this Session cannot be joined: {error}") from None
    if connection.closed:
        raise OutboxRefused("this SQLAlchemy Connection is closed")
    return connection


def plain(explicit: object) -> Session | Connection | None:
    """Return the Session or Connection behind what an app has in its hands; None: another thing."""
    if isinstance(explicit, scoped_session):
        return _session(explicit())
    behind = getattr(explicit, "sync_session", None) or getattr(explicit, "sync_connection", None)
    if behind is not None:
        return plain(behind)
    registry = getattr(explicit, "registry", None)
    if registry is not None and callable(registry) and not isinstance(explicit, Session):
        return plain(registry())
    return explicit if isinstance(explicit, Session | Connection) else None


def engine_of(target: Session | Connection) -> Engine:
    """Return the engine whose transaction this is; raise `OutboxRefused` for several."""
    if isinstance(target, Connection):
        return target.engine
    try:
        return target.get_bind().engine
    except SQLAlchemyError as error:
        raise OutboxRefused(
            f"this Session has no one database: {error}",
            next="pass connection=session.connection(bind_arguments={...})",
        ) from None


def is_open(target: Session | Connection) -> bool:
    """Tell whether a transaction is open."""
    if isinstance(target, Connection) and target.closed:
        return False
    return bool(target.in_transaction())


def is_same(target: Session, connection: Connection) -> bool:
    """Tell whether the Session's transaction runs on this very connection."""
    try:
        return target.connection() is connection
    except SQLAlchemyError:
        return False


def _session(made: object) -> Session:
    if not isinstance(made, Session):
        raise OutboxRefused(f"a scoped_session of {type(made).__name__} cannot be joined")
    return made


def _refuse_autocommit(connection: Connection, where: str) -> None:
    options: Any = connection.get_execution_options()
    driver: Any = getattr(connection.connection, "driver_connection", None)
    level = str(options.get("isolation_level", ""))
    commits = level == "AUTOCOMMIT" or (not level and _driver_commits(driver))
    if commits:
        raise OutboxRefused(
            f"{where} is in autocommit: nothing could be undone with its data",
            next="use a transaction, or enqueue within outbox.apart()",
        )


def _driver_commits(driver: Any) -> bool:  # Any: connections of many drivers
    """Tell whether the driver's own connection commits each statement."""
    if getattr(driver, "in_transaction", False) is True:
        return False
    autocommit = getattr(driver, "autocommit", None)
    if autocommit is True:
        info = getattr(driver, "info", None)
        return int(getattr(info, "transaction_status", 0)) == 0
    return False
