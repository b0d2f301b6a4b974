"""One transaction of the ledger in PostgreSQL: tasks it holds, changes, and what follows from them.

Place:  ledger.postgres* -> [postgres_work] -> the engine's database, tasks.settling
Rule:   locks before it decides, writes all changes of a round with one statement; decisions are
        tasks.settling's. The order of locks stands in postgres_functions.sql.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.ledger import postgres_rows as rows
from mergepoint.tasks.settling import can_cancel, cancel, free
from mergepoint.tasks.states import FINAL, Event, TaskState, step

T = TypeVar("T")
Row = tuple[Any, ...]  # Any: columns, typed by whoever asks
OPEN_SQL = "state NOT IN ('completed', 'cancelled', 'dead')"
NOW = "SELECT mergepoint.unix_now()"
_HELD = (
    f"SELECT mergepoint.unix_now(), {rows.COLUMNS}"  # noqa: S608
    " FROM mergepoint.hold_tasks(%s::text[], %s)"
)
_END_LINES = "SELECT * FROM mergepoint.end_lines(%s::text[])"
_FOLLOWERS = f"""
SELECT l.task, l.before FROM mergepoint.task_link l WHERE l.before = ANY (%(links)s::text[])
UNION ALL
SELECT first.id, '' FROM unnest(%(queues)s::text[], %(keys)s::text[]) AS line(queue, key)
CROSS JOIN LATERAL (
    SELECT t.id FROM mergepoint.task t
    WHERE t.queue = line.queue AND t.key = line.key AND t.key <> '' AND {OPEN_SQL}
    ORDER BY t.place LIMIT 1
) AS first
"""  # noqa: S608
"""Tasks that may go on, each with the ended one it comes after ('': it is the first of its key)."""
_FREE = f"""
SELECT t.id FROM mergepoint.task t
WHERE t.id = ANY (%s::text[]) AND t.state = 'held' AND NOT EXISTS (
    SELECT FROM mergepoint.task_link l JOIN mergepoint.task b ON b.id = l.before
    WHERE l.task = t.id AND b.state <> 'completed'
) AND (t.key = '' OR NOT EXISTS (
    SELECT FROM mergepoint.task e
    WHERE e.queue = t.queue AND e.key = t.key AND e.key <> '' AND e.place < t.place
        AND e.{OPEN_SQL}
)) ORDER BY t.place
"""  # noqa: S608
"""Of tasks that are held by us: those that wait for nothing any more."""


class Connection(Protocol):
    """A connection within a transaction; Any: the driver's own types."""

    async def execute(self, query: Any, params: Any = None, *, prepare: Any = None) -> Any:
        """Run one statement."""
        ...


class Database(Protocol):
    """The database of the bus, as its engine offers it; raises the bus's errors."""

    async def call(self, sql: str, parameters: Any = ()) -> list[Row]:
        """Run one statement, which is one transaction."""
        ...

    async def together(self, work: Callable[[Any], Awaitable[T]], *, pipelined: bool = False) -> T:
        """Run this in one transaction; anew where the server undid it for a deadlock.

        `pipelined`: statements go out before the answers to earlier ones have come.
        """
        ...

    async def room(self, queue: str, coming: int) -> None:
        """Raise `BusFull` when the queue has no room for so many more."""
        ...

    def wake(self, queue: str) -> None:
        """Tell takers that the queue has something."""
        ...


class Book:
    """The tasks of one transaction, as they were and as they shall be."""

    def __init__(self, connection: Connection, now: float | None, source: str) -> None:
        self.now = now or 0.0
        """The server's time, known from the first task that is held, or `look_at_clock`."""
        self.own_ends: dict[str, str] = {}
        """By task: the token of a run that completed itself; "" for every other task."""
        self.woken: set[str] = set()
        self._connection = connection
        self._source = source
        self._stored: dict[str, TaskRecord] = {}
        self._wanted: dict[str, TaskRecord] = {}
        self._freed: set[str] = set()
        self._followed: set[str] = set()

    async def ask(self, sql: str, parameters: Any = ()) -> list[Row]:
        """Run a statement in this transaction and return its rows."""
        cursor = await self._connection.execute(sql, parameters, prepare=True)
        found: list[Row] = await cursor.fetchall()
        return found

    async def tell(self, sql: str, parameters: Any = ()) -> None:
        """Run a statement whose answer nobody needs: it is not waited for."""
        await self._connection.execute(sql, parameters, prepare=True)

    async def look_at_clock(self) -> None:
        """Learn the time, where nothing is held from which it would be known."""
        if not self.now:
            ((self.now,),) = await self.ask(NOW)

    async def hold(self, ids: Iterable[str], *, wait: bool = True) -> None:
        """Lock these tasks; without `wait` leave out those that somebody else has locked."""
        wanted = sorted(set(ids) - self._stored.keys())
        if wanted:
            found = await self.ask(_HELD, (wanted, wait))
            if found and not self.now:
                self.now = found[0][0]
            self._take_in([row[1:] for row in found])

    async def hold_where(self, where: str, parameters: Any) -> list[TaskRecord]:
        """Lock what a condition of this package finds, but for what somebody else has locked."""
        sql = f"SELECT {rows.COLUMNS} FROM mergepoint.task WHERE {where} FOR UPDATE SKIP LOCKED"  # noqa: S608
        return self._take_in(await self.ask(sql, parameters))

    def get(self, task: str) -> TaskRecord | None:
        """Return a task that is held, with what was changed; None when it is not."""
        return self._wanted.get(task)

    def change(self, record: TaskRecord) -> None:
        """Let this be the record from now on."""
        self._wanted[record.id] = record

    def follow(self, task: str) -> None:
        """Free what waited for a task that completed itself."""
        self._freed.add(task)

    async def write(self) -> None:
        """Write every change, and what it sets free, until nothing follows any more."""
        while True:
            ended = await self._write_changes()
            ended += [self._wanted[task] for task in sorted(self._freed)]
            self._freed.clear()
            if not ended:
                return
            await self._go_on(ended)

    async def cancel_followers(self, ended: Sequence[str], how: str) -> None:
        """Cancel what waits for these; `how` it ended is told to them."""
        found = await self.ask(_FOLLOWERS, {"links": list(ended), "queues": [], "keys": []})
        await self.hold(task for task, _ in found)
        self._cancel(found, how)

    async def _write_changes(self) -> list[TaskRecord]:
        """Write and release; return the tasks that have ended by it."""
        changed, releases, ended = [], [], []
        for task, after in self._wanted.items():
            before = self._stored[task]
            if after is before and task not in self._freed:
                continue
            if _goes_out(before, after):
                releases.append(task)
                self.woken.add(after.spec.queue)
            if after.state in FINAL and before.state not in FINAL:
                ended.append(after)
            changed.append(self._put(after) if _goes_out(before, after) else after)
        for record in changed:
            self._stored[record.id] = self._wanted[record.id] = record
        if changed:
            await self.tell(rows.SAVE, rows.columns(changed, self.now))
        if releases:
            await self.tell(rows.RELEASE, (releases, self._source, 0.0))
        return ended

    async def _go_on(self, ended: Sequence[TaskRecord]) -> None:
        links = [each.id for each in ended if each.id in self._followed]
        if not links and not any(each.spec.key for each in ended):
            return
        # What waits for a dead task goes on waiting: the dead one may be replayed.
        dead = {each.id for each in ended if each.state is TaskState.DEAD}
        lines = {(each.spec.queue, each.spec.key) for each in await self._lined(ended)}
        found = await self.ask(
            _FOLLOWERS,
            {
                "links": [task for task in links if task not in dead],
                "queues": [queue for queue, _ in sorted(lines)],
                "keys": [key for _, key in sorted(lines)],
            },
        )
        if not found:
            return
        await self.hold(task for task, _ in found)
        cancelled = {each.id for each in ended if each.state is TaskState.CANCELLED}
        self._cancel([pair for pair in found if pair[1] in cancelled], "cancelled")
        candidates = sorted({task for task, _ in found})
        for (task,) in await self.ask(_FREE, (candidates,)):
            record = self._wanted[task]
            if record.state is TaskState.HELD:
                self.change(free(record, self.now))

    async def _lined(self, ended: Sequence[TaskRecord]) -> list[TaskRecord]:
        """Return those whose next of key may be let go; the lines of others are in use."""
        keyed = {each.id: each for each in ended if each.spec.key}
        if keyed:
            for (task,) in await self.ask(_END_LINES, (sorted(keyed),)):
                del keyed[task]
        return list(keyed.values())

    def _cancel(self, pairs: Sequence[Row], how: str) -> None:
        for task, before in pairs:
            record = self._wanted[task]
            if can_cancel(record):
                reason = f"{before}, which it waited for, was {how}"
                self.change(cancel(record, reason, self.now))

    def _put(self, record: TaskRecord) -> TaskRecord:
        return replace(record, state=step(record.state, Event.PUT), changed_at=self.now)

    def _take_in(self, found: Sequence[Row]) -> list[TaskRecord]:
        held = []
        for row in found:
            record, own_end, followed = rows.record_of(row)
            if followed:
                self._followed.add(record.id)
            self._stored[record.id] = self._wanted[record.id] = record
            self.own_ends[record.id] = own_end
            held.append(record)
        return held


def _goes_out(before: TaskRecord, after: TaskRecord) -> bool:
    return after.state is TaskState.PENDING and (
        before.state is not TaskState.PENDING or before.generation != after.generation
    )
