"""One transaction per request or task: who takes part, and how it ends.

Place:  data.requests, data.site -> [data.units] -> data.taking_part
Rule:   standard library alone; knows no database, only who has to commit or to roll back.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any, Protocol


class Part(Protocol):
    """What takes part in a unit: a session of one database."""

    def commit(self) -> None:
        """Make it last; raise what the database said."""
        ...

    def rollback(self) -> None:
        """Undo it; never raises for a connection that is gone."""
        ...

    def seal(self) -> None:
        """Take no writes from now on."""
        ...

    def close(self) -> None:
        """Give the connection back, undoing what is open."""
        ...

    async def acommit(self) -> None:
        """As `commit`, from the event loop that the part belongs to."""
        ...

    async def arollback(self) -> None:
        """As `rollback`."""
        ...

    async def aclose(self) -> None:
        """As `close`."""
        ...


class Unit:
    """The parts of one request or task. They are committed in the order they came."""

    def __init__(
        self, *, read_only: bool = False, repeatable: bool = False, lazy: bool = False
    ) -> None:
        self.lazy = lazy
        """Whether it will mostly read, so that locks for writing are taken late."""
        self.read_only = read_only
        """No database takes a write in it."""
        self.repeatable = repeatable
        """All its reads see one moment (PostgreSQL: REPEATABLE READ; SQLite always does)."""
        self.sealed = False
        self.failure: Exception | None = None
        """Why a database could not do its part, if that was so."""
        self._parts: dict[str, Part] = {}
        self._doomed = False

    def find(self, key: str) -> Any:
        """Return the part that was added under this key, or None."""
        return self._parts.get(key)

    def add(self, key: str, part: Part) -> None:
        """Let this take part from now on."""
        self._parts[key] = part
        if self.sealed:
            part.seal()

    def doom(self) -> None:
        """Roll back at the end, whatever the answer is."""
        self._doomed = True

    def end(self, *, good: bool) -> None:
        """Commit, or roll back; afterwards nothing can be written. Raises what a commit raised.

        The second call does nothing.
        """
        if self.sealed:
            return
        self.sealed = True
        parts = list(self._parts.values())
        try:
            for part in parts:
                part.commit() if good and not self._doomed else part.rollback()
        except BaseException:
            for part in parts:
                part.rollback()
            raise
        finally:
            for part in parts:
                part.seal()

    async def aend(self, *, good: bool) -> None:
        """As `end`."""
        if self.sealed:
            return
        self.sealed = True
        parts = list(self._parts.values())
        try:
            for part in parts:
                await (part.acommit() if good and not self._doomed else part.arollback())
        except BaseException:
            for part in parts:
                await part.arollback()
            raise
        finally:
            for part in parts:
                part.seal()

    def close(self) -> None:
        """Give every connection back; what was not committed is undone."""
        self.sealed = True
        parts, self._parts = self._parts, {}
        for part in parts.values():
            part.close()

    async def aclose(self) -> None:
        """As `close`."""
        self.sealed = True
        parts, self._parts = self._parts, {}
        for part in parts.values():
            await part.aclose()


_current: ContextVar[Unit | None] = ContextVar("mergepoint_unit", default=None)


def current() -> Unit | None:
    """Return the unit this code runs in, or None."""
    return _current.get()


@contextlib.contextmanager
def entered(unit: Unit | None) -> Iterator[None]:
    """Run the block in this unit; its end stays the caller's to say."""
    token = _current.set(unit)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def transaction(*, read_only: bool = False, repeatable: bool = False) -> Iterator[Unit]:
    """Commit at the end of the block, roll back if it raises; within a unit, be part of it."""
    outer = current()
    if outer is not None and not outer.sealed:
        yield outer
        return
    unit = Unit(read_only=read_only, repeatable=repeatable)
    try:
        with entered(unit):
            yield unit
        unit.end(good=True)
    finally:
        unit.close()


@contextlib.asynccontextmanager
async def atransaction(*, read_only: bool = False, repeatable: bool = False) -> AsyncIterator[Unit]:
    """As `transaction`, for coroutines."""
    outer = current()
    if outer is not None and not outer.sealed:
        yield outer
        return
    unit = Unit(read_only=read_only, repeatable=repeatable)
    try:
        with entered(unit):
            yield unit
        await unit.aend(good=True)
    finally:
        await unit.aclose()
