"""Sessions of SQLAlchemy that know whether a request's transaction is around them.

Place:  data.site -> [data.sessions] -> sqlalchemy.orm, data.units
Rule:   within a unit they are part of it: leaving a `with` block commits nothing, and an exception
        in it undoes what the block did. Elsewhere a `with` block is one transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from mergepoint.data.errors import CommitUnknown, ConnectionGone, DataError, DataRefused
from mergepoint.data.failures import meaning, words

FAILED = 3
"""libpq's PQTRANS_INERROR: a statement failed, and COMMIT would silently roll back."""


class SiteSession(Session):
    """A blocking session."""

    def __init__(self, *, reader: Engine, is_part: bool = False, **how: Any) -> None:
        super().__init__(expire_on_commit=False, **how)
        self._reader = reader
        self._is_part = is_part
        self._savepoints: list[Any] = []

    def __enter__(self) -> SiteSession:
        if self._is_part and not self.is_sealed:
            self._savepoints.append(self.begin_nested())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_part:
            if self._savepoints:
                self._savepoints.pop().__exit__(kind, value, trace)
            return
        try:
            if kind is None:
                commit(self)
        finally:
            super().close()

    def close(self) -> None:
        """Give the connection back; within a unit its end does."""
        if not self._is_part:
            super().close()

    def let_go(self) -> None:
        """Give the connection back, though it was part of a unit."""
        with contextlib.suppress(SQLAlchemyError):
            super().close()

    @property
    def is_sealed(self) -> bool:
        """Whether it takes no writes any more."""
        return self.bind is self._reader

    def seal(self) -> None:
        """Let what comes now be read-only."""
        self.bind = self._reader


class SiteAsyncSession(AsyncSession):
    """An asynchronous session."""

    sync_session_class = SiteSession

    def __init__(self, *, bind: AsyncEngine, reader: AsyncEngine, is_part: bool = False) -> None:
        super().__init__(bind, reader=reader.sync_engine, is_part=is_part)
        self._is_part = is_part
        self._savepoints: list[Any] = []

    @property
    def site_session(self) -> SiteSession:
        """The blocking session behind it."""
        return cast(SiteSession, self.sync_session)

    async def __aenter__(self) -> SiteAsyncSession:
        if self._is_part and not self.site_session.is_sealed:
            self._savepoints.append(await self.begin_nested())
        return self

    async def __aexit__(self, kind: Any, value: Any, trace: Any) -> None:  # Any: as the protocol
        if self._is_part:
            if self._savepoints:
                await self._savepoints.pop().__aexit__(kind, value, trace)
            return
        try:
            if kind is None:
                await acommit(self)
        finally:
            await super().close()

    async def close(self) -> None:
        """Give the connection back; within a unit its end does."""
        if not self._is_part:
            await super().close()

    async def let_go(self) -> None:
        """Give the connection back, though it was part of a unit."""
        with contextlib.suppress(SQLAlchemyError):
            await self.run_sync(lambda session: cast(SiteSession, session).let_go())


class SessionPart:
    """A blocking session as part of a unit."""

    def __init__(self, session: SiteSession) -> None:
        self.session = session

    def commit(self) -> None:
        """See `units.Part`."""
        commit(self.session)

    def rollback(self) -> None:
        """See `units.Part`."""
        with contextlib.suppress(SQLAlchemyError):
            self.session.rollback()

    def seal(self) -> None:
        """See `units.Part`."""
        self.session.seal()

    def close(self) -> None:
        """See `units.Part`."""
        self.session.let_go()

    async def acommit(self) -> None:
        """See `units.Part`."""
        from asyncio import to_thread

        await to_thread(self.commit)

    async def arollback(self) -> None:
        """See `units.Part`."""
        from asyncio import to_thread

        await to_thread(self.rollback)

    async def aclose(self) -> None:
        """See `units.Part`."""
        from asyncio import to_thread

        await to_thread(self.close)


class AsyncSessionPart:
    """An asynchronous session as part of a unit; such a unit ends on its loop."""

    def __init__(self, session: SiteAsyncSession) -> None:
        self.session = session

    def commit(self) -> None:
        """Refuse: only the loop can."""
        raise DataRefused("a session of an event loop takes part: end the unit with `await`")

    rollback = close = commit

    def seal(self) -> None:
        """See `units.Part`."""
        self.session.site_session.seal()

    async def acommit(self) -> None:
        """See `units.Part`."""
        await acommit(self.session)

    async def arollback(self) -> None:
        """See `units.Part`."""
        with contextlib.suppress(SQLAlchemyError):
            await self.session.rollback()

    async def aclose(self) -> None:
        """See `units.Part`."""
        await self.session.let_go()


def commit(session: Session) -> None:
    """Commit, or raise what a person can act on; a transaction that failed is never "committed"."""
    with _told(session):
        session.flush()
        check(session)
    with _told(session, committing=True):
        session.commit()


async def acommit(session: AsyncSession) -> None:
    """As `commit`."""
    with _told(session.sync_session):
        await session.flush()
        await session.run_sync(check)
    with _told(session.sync_session, committing=True):
        await session.commit()


def check(session: Session) -> None:
    """Raise `DataRefused` when a statement of this transaction has failed (PostgreSQL)."""
    if not session.in_transaction() or session.get_bind().dialect.name != "postgresql":
        return
    # Only a connection that is in use already is asked: looking must not open one.
    for connection in _connections(session):
        info = getattr(connection.connection.driver_connection, "info", None)
        if info is not None and int(info.transaction_status) == FAILED:
            raise DataRefused(
                "a statement of this transaction failed, so nothing of it can be committed",
                next="let it pass, or wrap what may fail: with session.begin_nested()",
            )


def _connections(session: Session) -> Iterator[Connection]:
    transaction = session.get_transaction()
    if transaction is None:
        return
    for key, entry in transaction._connections.items():
        if isinstance(key, Connection):
            yield entry[0]


@contextlib.contextmanager
def _told(session: Session, *, committing: bool = False) -> Iterator[None]:
    try:
        yield
    except PendingRollbackError as error:
        raise ConnectionGone(
            f"the transaction had failed before it could be committed: {words(error)}"
        ) from error
    except DBAPIError as error:
        found = _meaning(error, committing=committing)
        with contextlib.suppress(SQLAlchemyError):
            session.rollback()
        if found is None:
            raise
        raise found from error


def _meaning(error: DBAPIError, *, committing: bool) -> DataError | None:
    found = meaning(error.orig) if error.orig is not None else None
    if committing and isinstance(found, ConnectionGone):
        return CommitUnknown(
            f"the connection ended during the commit: {found.message}",
            next="look whether the change is there before doing it again",
        )
    return found
