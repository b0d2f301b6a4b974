"""Executing a method: in the request's transaction, or in one of its own.

Place:  methods.library -> [methods.run] -> methods.statement, methods.shapes
Rule:   blocking and asynchronous code differ in the waiting alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

from sqlalchemy import Result

from mergepoint.data import units
from mergepoint.data.config import Bounds
from mergepoint.data.contract import Databases
from mergepoint.data.methods import shapes
from mergepoint.data.methods.contract import Method, Shape
from mergepoint.data.methods.statement import arguments, statement


class Library(Protocol):
    """What a call needs of the methods it is one of."""

    data: Databases
    database: str
    kind: str
    bounds: Bounds

    def target(self, method: Method) -> Any:
        """Return the class of its rows, or None."""
        ...

    def tables(self, name: str) -> frozenset[str] | None:
        """Return its tables."""
        ...

    def timed(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Count one call."""
        ...


class Call:
    """One method, to be called with its parameters; `session=` uses that session."""

    is_async = False

    def __init__(self, library: Library, method: Method) -> None:
        self.library = library
        self.method = method
        self.__name__ = method.name
        self.__doc__ = method.doc
        self._statement = shapes.selecting(statement(method, library.kind), library.target(method))

    @property
    def tables(self) -> frozenset[str] | None:
        """The tables it reads or writes, views resolved; None: it cannot be known."""
        return self.library.tables(self.method.name)

    def __repr__(self) -> str:
        return f"<SQL method {self.method.name} of {self.method.where}>"

    def __call__(self, *given: Any, session: Any = None, **named: Any) -> Any:
        """Run it and return what its header declares."""
        values = arguments(self.method, given, named)
        if self.method.shape is Shape.STREAM:
            return self._stream(values, session)
        with self._session(session) as used, self.library.timed(self.method.name):
            return self._shaped(used.execute(self._statement, values))

    def _shaped(self, result: Result[Any]) -> Any:
        return shapes.shaped(
            self.method, result, self.library.target(self.method), self.library.bounds.rows_max
        )

    def _stream(self, values: dict[str, Any], session: Any) -> Iterator[Any]:
        with self._session(session) as used:
            count = self.library.bounds.stream_rows
            options = {"yield_per": count, "stream_results": True}
            with self.library.timed(self.method.name):
                result = used.execute(self._statement, values, execution_options=options)
            make = shapes.maker(self.method, result, self.library.target(self.method))
            for row in result:
                yield make(row)

    @contextlib.contextmanager
    def _session(self, given: Any) -> Iterator[Any]:
        if given is not None:
            yield given
            return
        data, name = self.library.data, self.library.database
        if units.current() is not None:
            yield data.session(name)
            return
        reads = self.library.kind == "sqlite" and not self.method.scanned.writes
        with data.session(name, read_only=reads) as own:
            yield own


class AsyncCall(Call):
    """The same, awaited; a stream is an asynchronous generator."""

    is_async = True

    def __call__(self, *given: Any, session: Any = None, **named: Any) -> Any:
        """Return a coroutine, or an asynchronous generator."""
        values = arguments(self.method, given, named)
        if self.method.shape is Shape.STREAM:
            return self._astream(values, session)
        return self._run(values, session)

    async def _run(self, values: dict[str, Any], session: Any) -> Any:
        async with self._asession(session) as used:
            with self.library.timed(self.method.name):
                return self._shaped(await used.execute(self._statement, values))

    async def _astream(self, values: dict[str, Any], session: Any) -> AsyncIterator[Any]:
        async with self._asession(session) as used:
            options = {"yield_per": self.library.bounds.stream_rows}
            with self.library.timed(self.method.name):
                result = await used.stream(self._statement, values, execution_options=options)
            make = shapes.maker(self.method, result, self.library.target(self.method))
            async for row in result:
                yield make(row)

    @contextlib.asynccontextmanager
    async def _asession(self, given: Any) -> AsyncIterator[Any]:
        if given is not None:
            yield given
            return
        data, name = self.library.data, self.library.database
        if units.current() is not None:
            yield data.asession(name)
            return
        reads = self.library.kind == "sqlite" and not self.method.scanned.writes
        async with data.asession(name, read_only=reads) as own:
            yield own
