"""What an app reads with psycopg 3, blocking or async, whatever stands between them.

Place:  cache.hooks -> [cache.postgres] -> psycopg's own cursors, watched; cache.locks
Rule:   PostgreSQL's locks say which tables a transaction has touched, within functions, too.

They are held until the transaction ends, so a statement that would be one by itself (autocommit)
is given a BEGIN and a COMMIT of its own while somebody asks what it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mergepoint.cache import reads as reading
from mergepoint.cache.locks import LOCKS, Held, Lock, held_by, tags_of
from mergepoint.cache.moments import is_of_the_moment, tells_the_time
from mergepoint.cache.reads import Reads
from mergepoint.cache.sources import Source, Sources
from mergepoint.core.clock import SystemClock

IDLE, IN_TRANSACTION = 0, 2
"""`psycopg.pq.TransactionStatus`."""
SEEN = "_mergepoint_seen"
QUESTIONS = ("select", "with", "values", "table")


class Psycopg:
    """The module, as it was, and what its connections lead to."""

    def __init__(self, module: Any, sources: Sources) -> None:
        self._module = module
        self._sources = sources
        self._clock = SystemClock()
        self.blocking = module.Cursor.execute
        self.waiting = module.AsyncCursor.execute

    def source(self, connection: Any) -> Source | None:
        """Return which source a connection leads to."""
        with suppress(Exception):
            info = connection.info
            return self._sources.of_server(info.host, info.port, info.dbname)
        return None

    def probe(self, connection: Any) -> Any:
        """Return a cursor that looks at the locks, whatever the app's own are like."""
        made = self._module.Cursor if not is_async(connection) else self._module.AsyncCursor
        return made(connection, row_factory=self._module.rows.tuple_row)

    def note(self, reads: Reads, connection: Any, asked: tuple[str, Any], locks: Held) -> None:
        """Tell a request what one statement of its transaction has read."""
        text, parameters = asked
        source = self.source(connection)
        if source is None:
            reads.spoil("a PostgreSQL database that is none of the site's was read")
            return
        if tells_the_time(text) or is_of_the_moment(parameters, self._clock.unix_s()):
            reads.spoil(f"it depends on when it is asked: {text[:80]}")
        if locks.fault:
            reads.spoil(locks.fault)
        for table in locks.written - source.ignore:
            reads.spoil(f"a request that only asks wrote to {table}")
        seen: Held = getattr(connection, SEEN, Held())
        for table, tag in tags_of(source.name, text, parameters, locks, seen):
            if table not in source.ignore:
                reads.add(tag)
        setattr(connection, SEEN, locks)


def watch(module: Any, sources: Sources) -> None:
    """Let every cursor of psycopg tell what it reads."""
    psycopg = Psycopg(module, sources)
    module.Cursor.execute = _blocking(psycopg)
    module.AsyncCursor.execute = _waiting(psycopg)
    for kind in (module.Cursor, module.AsyncCursor):
        for name in ("executemany", "stream", "copy"):
            setattr(kind, name, _spoiling(getattr(kind, name), f"psycopg's {name} was used"))
    for kind in (module.ServerCursor, module.AsyncServerCursor):
        kind.execute = _spoiling(kind.execute, "a cursor on the server was used")


def is_async(connection: Any) -> bool:
    """Tell whether a connection is one that must be awaited."""
    return hasattr(connection, "__aenter__")


def _spoiling(original: Callable[..., Any], reason: str) -> Callable[..., Any]:
    def spoiled(self: Any, *values: Any, **named: Any) -> Any:
        reading.spoil(reason)
        return original(self, *values, **named)

    return spoiled


def _blocking(psycopg: Psycopg) -> Callable[..., Any]:
    original = psycopg.blocking

    def execute(self: Any, query: Any, params: Any = None, **rest: Any) -> Any:
        reads = reading.collecting()
        connection = self.connection
        if reads is None or not _can_look(reads, connection):
            return original(self, query, params, **rest)
        asked = (text_of(query, connection), params)

        def ask() -> Any:
            made = original(self, query, params, **rest)
            if connection.info.transaction_status == IN_TRANSACTION:
                rows = original(psycopg.probe(connection), LOCKS).fetchall()
                psycopg.note(reads, connection, asked, held_by(Lock(*row) for row in rows))
            else:
                reads.spoil("a transaction ended within a statement")
            return made

        try:
            if _begins(connection):
                setattr(connection, SEEN, Held())
            if _stands_alone(connection, asked[0]):
                with connection.transaction():
                    return ask()
            return ask()
        except BaseException:
            reads.spoil("a statement failed")
            raise

    execute.__doc__ = original.__doc__
    return execute


def _waiting(psycopg: Psycopg) -> Callable[..., Any]:
    original = psycopg.waiting

    async def execute(self: Any, query: Any, params: Any = None, **rest: Any) -> Any:
        reads = reading.collecting()
        connection = self.connection
        if reads is None or not _can_look(reads, connection):
            return await original(self, query, params, **rest)
        asked = (text_of(query, connection), params)

        async def ask() -> Any:
            made = await original(self, query, params, **rest)
            if connection.info.transaction_status == IN_TRANSACTION:
                looked = await original(psycopg.probe(connection), LOCKS)
                rows = await looked.fetchall()
                psycopg.note(reads, connection, asked, held_by(Lock(*row) for row in rows))
            else:
                reads.spoil("a transaction ended within a statement")
            return made

        try:
            if _begins(connection):
                setattr(connection, SEEN, Held())
            if _stands_alone(connection, asked[0]):
                async with connection.transaction():
                    return await ask()
            return await ask()
        except BaseException:
            reads.spoil("a statement failed")
            raise

    execute.__doc__ = original.__doc__
    return execute


def text_of(query: Any, connection: Any) -> str:
    """Return the text of a query, empty for one that cannot be shown."""
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    if isinstance(query, str):
        return query
    with suppress(Exception):
        return str(query.as_string(connection))
    return ""


def _can_look(reads: Reads, connection: Any) -> bool:
    """Tell whether the locks can be asked for between two statements of this connection."""
    if connection.pgconn.pipeline_status:
        reads.spoil("statements were sent in a pipeline")
        return False
    return True


def _begins(connection: Any) -> bool:
    return bool(connection.info.transaction_status == IDLE)


def _stands_alone(connection: Any, text: str) -> bool:
    return bool(
        connection.autocommit
        and _begins(connection)
        and text.lstrip(" \t\r\n(").lower().startswith(QUESTIONS)
    )
