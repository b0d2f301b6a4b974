"""`site.feed`: functions that are called with what changed in a database.

Place:  apps -> [feed.handlers] -> feed.course, the site's tasks
Rule:   a declared function stays a function; what runs it is a task like any other.

    @site.feed.on("tickets")
    def index(change: Change) -> None: ...

At least once, and changes of one row in the order of their commits. Who was away goes on where it
stopped; where the log does not reach back any more, the handler is called with `Op.GAP`.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from mergepoint.core.clock import Clock
from mergepoint.feed.contract import Change, Database, FeedLimits, Position, Reader
from mergepoint.feed.course import Course
from mergepoint.feed.engines import Tools
from mergepoint.feed.errors import FeedRefused
from mergepoint.feed.positions import Positions

EVERY_S = 1.0
"""How often it is looked for changes."""
BATCH = 100
"""Changes after which the position is noted; a handler that fails sees them again."""
LEASE_S = 60.0
"""How long a handler may take for `BATCH` changes before somebody else may have its turn."""

Answer = TypeVar("Answer")
Handler = TypeVar("Handler", bound=Callable[[Change], Any])  # Any: what it returns means nothing
MakeReader = Callable[[Database, FeedLimits, Clock], Reader]


class Home(Protocol):
    """A site, as the feed sees it."""

    @property
    def clock(self) -> Clock:
        """The site's time."""
        ...

    @property
    def tasks(self) -> Any:  # Any: tasks stand above the feed
        """Declare tasks."""
        ...

    def wait(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the site's loop and wait, from blocking code."""
        ...

    async def join(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the site's loop and wait, from a coroutine of any loop."""
        ...


class Feed:
    """The databases of a site, as one process follows them: `site.feed`."""

    def __init__(
        self,
        home: Home,
        databases: Callable[[], Sequence[Database]],
        positions: Callable[[], Awaitable[Positions]],
        make_reader: MakeReader,
        tools_of: Callable[[Database], Tools],
        limits: FeedLimits | None = None,
    ) -> None:
        self._home = home
        self._databases = databases
        self._positions = positions
        self._make_reader = make_reader
        self._tools_of = tools_of
        self._limits = limits or FeedLimits(read_s=10.0)
        self._readers: dict[str, Reader] = {}
        self._tailed: dict[str, Position] = {}

    def on(
        self, *tables: str, database: str = "", every_s: float = EVERY_S, batch: int = BATCH,
        lease_s: float = LEASE_S, name: str = "",
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the function with each `Change` of these tables; all tables without any.

        `database`: the first one unless given. `every_s`: how often to look. `batch`: after how
        many changes the position is noted. `name`: of module and function unless given; the
        position is kept under it.
        """

        def declared(function: Handler) -> Handler:
            called = name or f"feed.{function.__module__}.{function.__qualname__}"
            self._declare(called, function, frozenset(tables), database, every_s, batch, lease_s)
            return function

        return declared

    def install(self, database: str = "") -> None:
        """Add the log and its triggers to a database, for tests and scripts; see the command."""
        found = self._database(database)
        self._tools_of(found).install(found, self._limits)

    def position(self, database: str = "") -> Position:
        """Return where the log is now; every change committed before is at or before it."""
        return self._home.wait(lambda: self._here(database))

    async def aposition(self, database: str = "") -> Position:
        """Do the same from a coroutine."""
        return await self._home.join(lambda: self._here(database))

    def changes(self, *tables: str, database: str = "", count: int = 1_000) -> list[Change]:
        """Return what changed since the last call, for tests; the first call begins.

        Raises `FeedRefused` when the log does not reach back.
        """
        return self._home.wait(lambda: self._since_last(frozenset(tables), database, count))

    async def close(self) -> None:
        """Let every database go; on the site's loop."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            await reader.close()

    def _declare(
        self, name: str, function: Callable[[Change], Any], tables: frozenset[str], database: str,
        every_s: float, batch: int, lease_s: float,
    ) -> None:  # fmt: skip
        def course() -> Course:
            return Course(
                name=name, owner=uuid.uuid4().hex, tables=tables, batch=batch, lease_s=lease_s,
                reader=lambda: self._reader(database), positions=self._positions,
            )  # fmt: skip

        home = self._home
        run: Callable[[], Any]
        if inspect.iscoroutinefunction(function):

            async def run_async() -> None:
                await _follow_async(home, course(), function)

            run = run_async
        else:

            def run_blocking() -> None:
                _follow(home, course(), function)

            run = run_blocking
        # Its next tick is its next attempt; a turn that failed is not given again at once.
        task = home.tasks.task(name=name, retries=0, keep_result_s=0)(run)
        home.tasks.every(every_s=every_s, missed="skip")(task)

    async def _here(self, database: str) -> Position:
        return (await self._reader(database).read(None)).position

    async def _since_last(self, tables: frozenset[str], database: str, count: int) -> list[Change]:
        reader = self._reader(database)
        batch = await reader.page(self._tailed.get(database), count)
        self._tailed[database] = batch.position
        if batch.gap:
            raise FeedRefused("changes are missing: the log does not reach back to the last call")
        return [one for one in batch.changes if not tables or one.table in tables]

    def _reader(self, name: str) -> Reader:
        if name not in self._readers:
            database = self._database(name)
            self._readers[name] = self._make_reader(database, self._limits, self._home.clock)
        return self._readers[name]

    def _database(self, name: str) -> Database:
        found = [one for one in self._databases() if name in ("", one.name)]
        if not found:
            raise FeedRefused(
                f"there is no database {name!r} here", next="add [[databases]] to the manifest"
            )
        return found[0]


def _follow(home: Home, course: Course, function: Callable[[Change], Any]) -> None:
    failed = True
    try:
        if not home.wait(course.begin):
            failed = False
            return
        while changes := home.wait(course.next):
            for change in changes:
                function(change)
            if not home.wait(course.settle):
                break
        failed = False
    finally:
        home.wait(lambda: course.end(failed=failed))


async def _follow_async(home: Home, course: Course, function: Callable[[Change], Any]) -> None:
    failed = True
    try:
        if not await home.join(course.begin):
            failed = False
            return
        while changes := await home.join(course.next):
            for change in changes:
                await function(change)
            if not await home.join(course.settle):
                break
        failed = False
    finally:
        await home.join(lambda: course.end(failed=failed))


def as_followed(name: str, url: str) -> Database:
    """Return a database of an app's as the feed knows it: without SQLAlchemy's driver."""
    scheme, _, rest = url.partition("://")
    return Database(name, f"{scheme.partition('+')[0]}://{rest}")
