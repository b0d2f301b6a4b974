"""`site.data`: the databases of a site, from one process.

Place:  assembly.connect, testing -> [data.site] -> data.engines, methods, documents, watching
Rule:   opens nothing before the first use; loads SQLAlchemy no earlier either.

    with site.data.session() as session:
        session.add(Ticket(title="..."))
    tickets = site.data.methods("queries/")
    notes = site.data.documents("notes")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergepoint.core.clock import Clock
from mergepoint.data import units
from mergepoint.data.config import Bounds, Database, chosen
from mergepoint.data.errors import DataRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from mergepoint.data.documents.contract import Documents
    from mergepoint.data.engines import Engines
    from mergepoint.data.sessions import SiteAsyncSession, SiteSession
    from mergepoint.data.watching.record import Record


class Data:
    """The databases; one object for the whole process."""

    def __init__(
        self,
        databases: Sequence[Database],
        clock: Clock,
        *,
        watches: Sequence[Callable[[Any], None]] = (),
        development: bool = False,
        record_file: Path | None = None,
    ) -> None:
        """`watches` are told of every engine that is made: `tasks.outbox.watch` is one."""
        self.databases = tuple(databases)
        self.clock = clock
        self.development = development
        """Whether SQL is explained and reloaded, and queries are watched."""
        self._watches = tuple(watches)
        self._record_file = record_file
        self._record: Record | None = None
        self._engines: dict[str, Engines] = {}
        self._lock = threading.Lock()

    transaction = staticmethod(units.transaction)
    """`with site.data.transaction():` one transaction for all databases used in it."""
    atransaction = staticmethod(units.atransaction)
    """As `transaction`, for coroutines."""

    def bounds(self, database: str = "") -> Bounds:
        """Return what this database may cost."""
        return chosen(self.databases, database).bounds

    def kind(self, database: str = "") -> str:
        """Return `sqlite` or `postgresql`."""
        return self.engines(database).kind

    def engine(self, database: str = "") -> Engine:
        """Return SQLAlchemy's engine; the same one at every call."""
        return self.engines(database).blocking()

    def aengine(self, database: str = "") -> AsyncEngine:
        """Return the asynchronous engine of the running event loop."""
        return self.engines(database).of_loop()

    def session(
        self, database: str = "", *, read_only: bool = False, repeatable: bool = False
    ) -> SiteSession:
        """Return a session: within a request's transaction, the one that is part of it.

        Elsewhere a new one, to be used in a `with` block, which commits at its end.
        `repeatable`: all reads see one moment; implies `read_only`.
        """
        from mergepoint.data.sessions import SessionPart, SiteSession

        engines = self.engines(database)
        unit = units.current()
        if unit is None or read_only or repeatable:
            mode = mode_of(read_only=read_only, repeatable=repeatable)
            reader = engines.blocking(mode_of(read_only=True))
            return SiteSession(bind=engines.blocking(mode), reader=reader)
        key = f"session/{engines.database.name}"
        part = unit.find(key)
        if part is None:
            mode = mode_of_unit(unit)
            reader = engines.blocking(mode_of(read_only=True))
            session = SiteSession(bind=engines.blocking(mode), reader=reader, is_part=True)
            part = SessionPart(session)
            unit.add(key, part)
        found: SiteSession = part.session
        return found

    def asession(
        self, database: str = "", *, read_only: bool = False, repeatable: bool = False
    ) -> SiteAsyncSession:
        """As `session`, for coroutines: `async with site.data.asession() as session:`."""
        from mergepoint.data.sessions import AsyncSessionPart, SiteAsyncSession

        engines = self.engines(database)
        unit = units.current()
        reader = engines.of_loop(mode_of(read_only=True))
        if unit is None or read_only or repeatable:
            mode = mode_of(read_only=read_only, repeatable=repeatable)
            return SiteAsyncSession(bind=engines.of_loop(mode), reader=reader)
        key = f"asession/{engines.database.name}"
        part = unit.find(key)
        if part is None:
            mode = mode_of_unit(unit)
            session = SiteAsyncSession(bind=engines.of_loop(mode), reader=reader, is_part=True)
            part = AsyncSessionPart(session)
            unit.add(key, part)
        found: SiteAsyncSession = part.session
        return found

    def methods(self, place: str | Path, database: str = "") -> Any:
        """Return the SQL methods of a file or a directory of `.sql` files.

        `Any`, since only the files know: `mergepoint sql stubs` writes a Protocol to annotate it
        with. Raises `MethodsRefused` with every mistake at once, as file:line.
        """
        from mergepoint.data.methods.library import Library

        return Library(self, Path(place), database)

    def documents(
        self, collection: str, database: str = "", *, schema: Mapping[str, Any] | None = None
    ) -> Documents:
        """Return a collection of JSON documents; it is made when it is first written to.

        `schema` is a JSON Schema (2020-12) that every document must satisfy from now on.
        """
        from mergepoint.data.documents.opening import opened

        return opened(self, collection, database, schema)

    def engines(self, database: str = "") -> Engines:
        """Return the pools of one database."""
        one = chosen(self.databases, database)
        with self._lock:
            if one.name not in self._engines:
                self._engines[one.name] = self._made(one)
            return self._engines[one.name]

    @property
    def record(self) -> Record | None:
        """What was seen of queries; None where nobody watches."""
        if self._record is None and self.development:
            from mergepoint.data.watching.record import Record

            self._record = Record(self.clock, self._record_file)
        return self._record

    def close(self) -> None:
        """Close what blocking code has open; the next use opens anew."""
        for engines in list(self._engines.values()):
            engines.close()
        if self._record is not None:
            self._record.write()

    async def aclose(self) -> None:
        """Close what the running event loop has open."""
        for engines in list(self._engines.values()):
            await engines.aclose()

    def _made(self, database: Database) -> Engines:
        try:
            from mergepoint.data.engines import Engines
        except ModuleNotFoundError as error:
            raise DataRefused(
                f"{error.name} is not installed in this app's environment",
                next="pip install 'mergepoint[data]'",
            ) from None
        watches = self._watches
        if self.record is not None:
            from mergepoint.data.watching.sqlalchemy import watching

            watches = (*watches, watching(self.record, database.name))
        return Engines(database, watches)


def mode_of_unit(unit: units.Unit) -> str:
    """Return how the transactions of a unit begin. Pure."""
    reads = unit.read_only or unit.sealed
    return (
        "lazy" if unit.lazy and not reads else mode_of(read_only=reads, repeatable=unit.repeatable)
    )


def mode_of(*, read_only: bool = False, repeatable: bool = False) -> str:
    """Return how a transaction begins. Pure."""
    if repeatable:
        return "repeatable"
    return "read" if read_only else "write"
