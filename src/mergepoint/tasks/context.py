"""What a handler may know and say of the task it runs.

Place:  handlers -> [tasks.context] -> whoever runs them (tasks.runner.child, tasks.testing)
Rule:   every call that can raise does so when the task was taken away: `TaskInterrupted`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from mergepoint.bus.errors import NotCapable
from mergepoint.tasks.completing import Run, acomplete_in, complete_in
from mergepoint.tasks.contract import Progress
from mergepoint.tasks.effects import mark_in
from mergepoint.tasks.errors import TaskInterrupted
from mergepoint.tasks.home import Codec


class Office(Protocol):
    """Who speaks with the ledger for a handler; callable from any thread."""

    def progress(self, task: str, progress: Progress) -> None:
        """Pass it on, without waiting."""
        ...

    def once(self, task: str, key: str, *, done: bool) -> bool:
        """Ask for a mark, or set it, and wait for the answer."""
        ...


@dataclass
class Context:
    """A handler's own task; the parameter named `ctx`, and `current()`."""

    id: str
    name: str
    attempt: int = 1
    """1 at the first."""
    attempts_max: int = 1
    deadline_s: float = 0.0
    """Unix seconds at which it is stopped; 0: not known."""
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Of the envelope it was enqueued with: `mprequestid`, `traceparent`, `mpidentity`, ..."""
    office: Office | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    """Of this run; "" where it cannot complete itself: in a batch."""
    codec: Codec | None = field(default=None, repr=False)
    """How a result becomes bytes."""
    _told: threading.Event = field(default_factory=threading.Event, repr=False)
    _why: str = ""

    @property
    def interrupted(self) -> str:
        """Why the handler should stop now; "" while it may go on."""
        return self._why if self._told.is_set() else ""

    def check(self) -> None:
        """Raise `TaskInterrupted` when the handler should stop."""
        if self._told.is_set():
            raise TaskInterrupted(self._why)

    def wait(self, seconds: float) -> None:
        """Sleep that an interruption ends: raise `TaskInterrupted` then."""
        self._told.wait(seconds)
        self.check()

    def progress(self, done: float, total: float = 0.0, note: str = "") -> None:
        """Say how far this is; whoever looks at the task sees it."""
        self.check()
        if self.office is not None:
            self.office.progress(self.id, Progress(done=done, total=total, note=note[:500]))

    @contextlib.contextmanager
    def once(self, key: str, connection: Any = None) -> Iterator[bool]:
        """Say whether the effect `key` of this task is still to be done.

        With a `connection` of the app's database the mark is part of its transaction: effect and
        mark are committed together, so the effect is once whatever dies when. Without, the mark
        is set in the ledger after the block: whatever dies in between lets it happen again.

        Any: a DB-API connection of SQLite or PostgreSQL, or a SQLAlchemy Connection or Session.
        """
        self.check()
        if connection is not None:
            yield mark_in(connection, self.id, key)
            return
        first = self.office is None or not self.office.once(self.id, key, done=False)
        yield first
        if first and self.office is not None:
            self.office.once(self.id, key, done=True)

    def complete(self, connection: Any, result: Any = None) -> None:
        """Complete this task in the handler's open transaction: with its effects, or not at all.

        Only where the ledger is in the same database (`[bus] url` is PostgreSQL). What the handler
        returns or raises after the commit changes nothing any more. A second call does nothing.
        Raises `NotCapable`, `OutboxRefused`, and `TaskInterrupted` when somebody else has the
        task: then the transaction must be rolled back, as an exception does.

        Any: a SQLAlchemy Session or Connection, a Django alias, a psycopg connection.
        """
        complete_in(connection, self._run(), self._written(result))

    async def acomplete(self, connection: Any, result: Any = None) -> None:
        """Do the same from a coroutine, with a connection of either kind."""
        await acomplete_in(connection, self._run(), self._written(result))

    def _run(self) -> Run:
        self.check()
        if not self.token:
            raise NotCapable(
                f"{self.name} runs in batches, which complete together",
                next="ctx.once(key, connection), or batch=1",
            )
        return self.id, self.token

    def _written(self, result: Any) -> tuple[bytes, str]:
        if result is None or self.codec is None:
            return b"", ""
        return self.codec.encode(result)

    def interrupt(self, why: str) -> None:
        """Tell the handler to stop; the first reason stays."""
        if not self._told.is_set():
            self._why = why
            self._told.set()


_current: ContextVar[Context | None] = ContextVar("mergepoint_task", default=None)


def current() -> Context | None:
    """Return the task that is running here; None outside of handlers."""
    return _current.get()


@contextlib.contextmanager
def running(context: Context) -> Iterator[Context]:
    """Make this the present task of the thread or coroutine."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


Handler = Callable[..., Any] | Callable[..., Awaitable[Any]]
