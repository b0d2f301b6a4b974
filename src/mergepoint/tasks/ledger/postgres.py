"""The ledger in PostgreSQL: records of tasks in the very database that carries the messages.

Place:  assembly -> [postgres] -> postgres_* beside it, the engine's database
Rule:   one transaction for each call, in which released tasks are put into their queues, too; so
        a task is never recorded without its message.

Which rights an app's own transactions need, and limits: docs/reference/postgresql.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from mergepoint.bus.errors import BusRefused
from mergepoint.core.clock import Clock
from mergepoint.tasks import contract as c
from mergepoint.tasks.cron import times_of
from mergepoint.tasks.ledger import postgres_operating as operating
from mergepoint.tasks.ledger import postgres_rows as rows
from mergepoint.tasks.ledger import postgres_running as running
from mergepoint.tasks.ledger import postgres_scheduling as scheduling
from mergepoint.tasks.ledger.operating import RECORDS_MAX
from mergepoint.tasks.ledger.postgres_schema import migrate
from mergepoint.tasks.ledger.postgres_work import NOW, Book, Database
from mergepoint.tasks.messages import queue_of
from mergepoint.tasks.spec import LINKS_MAX, Schedule, Spec
from mergepoint.tasks.states import TaskState
from mergepoint.tasks.ticking import plan

T = TypeVar("T")
COUNTS = (
    "SELECT queue, state, count(*), min(changed_at) FROM mergepoint.task"
    " GROUP BY queue, state ORDER BY queue, state"
)


class PostgresLedger:
    """A `contract.Ledger`; `opened` makes one. Times are the server's, unless a clock is handed."""

    is_queue = True
    keeps_time = False
    """Runners ask for `due`; where none runs, nothing could be started anyway."""

    def __init__(self, database: Database, *, source: str = "", clock: Clock | None = None) -> None:
        self._database = database
        self._source = source or "tasks"
        self._clock = clock
        self._saying = asyncio.Lock()

    @classmethod
    async def opened(
        cls, database: Database, *, source: str = "", clock: Clock | None = None
    ) -> PostgresLedger:
        """Return the ledger of a database that is connected; makes its tables where none are."""
        await migrate(database)
        return cls(database, source=source, clock=clock)

    async def enqueue(self, specs: Sequence[Spec]) -> c.Enqueued:
        """Record all or none, and put what may start; raise `BusFull` and record none."""
        if not specs:
            return c.Enqueued(placed=())
        await self._check(specs)
        given = rows.enqueued(specs, self._source, self._now())
        found = await self._database.call(rows.ENQUEUE, given)
        self._wake({queue for _, _, queue in found if queue})
        placed = tuple(c.Placed(id=task, duplicate=same) for task, same, _ in found)
        return c.Enqueued(placed=placed)

    async def confirm(self, released: Sequence[tuple[str, int]]) -> None:
        """Do nothing: what is released is in its queue already."""

    async def start(self, starts: Sequence[c.Start]) -> list[c.Started]:
        """Decide for every message taken whether it runs."""
        if not starts:
            return []
        begun = await running.start_plain(self._database, starts, self._now())
        if len(begun) == len(starts):
            return [c.Started(record=begun[each.message_id]) for each in starts]
        rest = [each for each in starts if each.message_id not in begun]
        decided = iter(await self._booked(lambda book: running.start(book, rest)))
        return [
            c.Started(record=begun[each.message_id]) if each.message_id in begun else next(decided)
            for each in starts
        ]

    async def finish(self, finishes: Sequence[c.Finish]) -> c.Finished:
        """Settle runs."""
        done = await running.finish_plain(self._database, finishes, self._now())
        rest = [each for each in finishes if (each.id, each.token) not in done]
        if not rest:
            return c.Finished(settled=tuple(done[each.id, each.token] for each in finishes))
        decided = iter((await self._booked(lambda book: running.finish(book, rest))).settled)
        return c.Finished(
            settled=tuple(done.get((each.id, each.token)) or next(decided) for each in finishes)
        )

    async def touch(self, tokens: Mapping[str, str]) -> c.Touched:
        """Note that these tasks are alive here."""
        if not tokens:
            return c.Touched()
        given = {"ids": list(tokens), "tokens": list(tokens.values()), "now": self._now()}
        found = await self._database.call(running.TOUCH, given)
        return c.Touched(
            lost=tuple(task for task, cancelling in found if cancelling is None),
            cancelling=tuple(task for task, cancelling in found if cancelling),
        )

    async def progress(self, task: str, token: str, progress: c.Progress) -> bool:
        """Say how far a run is."""
        # One after the other: calls of one process run on several connections, the last must win.
        async with self._saying:
            given = (rows.progress_text(progress), self._now(), task, token)
            return bool(await self._database.call(running.PROGRESS, given))

    async def once(self, task: str, key: str, *, done: bool) -> bool:
        """Ask for, or set, the mark of an effect."""
        return bool(
            await self._database.call(running.MARK if done else running.MARKED, (task, key))
        )

    async def due(self, limit: int = 500) -> c.Due:
        """Release what is due."""
        return await self._booked(lambda book: operating.due(book, limit))

    async def register(self, names: Sequence[str]) -> tuple[c.Release, ...]:
        """Release what was parked for want of these names."""
        await self._booked(lambda book: operating.register(book, names))
        return ()

    async def record(self, task: str) -> c.TaskRecord | None:
        """Return one record."""
        found = await self._records("id = %s", (task,))
        return found[0] if found else None

    async def records(
        self,
        *,
        queue: str = "",
        name: str = "",
        group: str = "",
        states: Sequence[TaskState] = (),
        limit: int = 100,
        after: str = "",
    ) -> list[c.TaskRecord]:
        """Return records by id."""
        wheres, values = ["id > %s"], [after]
        for column, value in (("queue", queue), ("name", name), ("grp", group)):
            if value:
                wheres.append(f"{column} = %s")
                values.append(value)
        given: list[Any] = [*values]
        if states:
            wheres.append("state = ANY (%s::text[])")
            given.append([state.value for state in states])
        where = " AND ".join(wheres)
        return await self._records(
            f"{where} ORDER BY id LIMIT %s", (*given, min(int(limit), RECORDS_MAX))
        )

    async def counts(self) -> list[c.QueueCount]:
        """Return how many tasks each queue has in each state."""
        return [
            c.QueueCount(queue=queue, state=TaskState(state), count=count, oldest_at=oldest)
            for queue, state, count, oldest in await self._database.call(COUNTS)
        ]

    async def cancel(self, task: str, reason: str = "") -> c.Finished:
        """End a task, or ask it to end."""
        return await self._booked(lambda book: operating.cancel_task(book, task, reason))

    async def replay(
        self, task: str, payload: bytes | None = None, content_type: str = ""
    ) -> tuple[c.Release, ...]:
        """Run an ended task anew."""
        await self._booked(lambda book: operating.replay(book, task, payload, content_type))
        return ()

    async def discard(self, ids: Sequence[str]) -> int:
        """Forget final tasks."""
        return await self._booked(lambda book: operating.discard(book, ids))

    async def schedule(self, schedules: Sequence[Schedule], app: str) -> list[c.ScheduleRow]:
        """Make these the schedules of the app."""
        return await self._booked(lambda book: scheduling.schedule(book, schedules, app))

    async def plan(self, schedule: Schedule, last: float) -> c.Plan:
        """Decide what is due of a schedule now; `CronUnreadable` where nothing here reads cron."""
        now = self._now()
        if now is None:
            ((now,),) = await self._database.call(NOW)
        return plan(schedule, times_of(schedule), last, float(now or 0.0))

    async def fire(self, name: str, previous: float, tick: float, spec: Spec | None) -> c.Enqueued:
        """Claim a tick and record its task."""
        claim = (name, previous, tick, spec, self._source)
        return await self._booked(lambda book: scheduling.fire(book, *claim))

    async def _booked(self, work: Callable[[Book], Awaitable[T]]) -> T:
        """Do this with a book of one transaction, then wake whoever waits for what it released."""
        woken: set[str] = set()

        async def booked(connection: Any) -> T:  # Any: the driver's connection
            book = Book(connection, self._now(), self._source)
            answer = await work(book)
            woken.update(book.woken)
            return answer

        answer = await self._database.together(booked, pipelined=True)
        self._wake(woken)
        return answer

    async def _records(self, where: str, given: tuple[Any, ...]) -> list[c.TaskRecord]:
        sql = f"SELECT {rows.COLUMNS} FROM mergepoint.task WHERE {where}"  # noqa: S608
        return [rows.record_of(row)[0] for row in await self._database.call(sql, given)]

    async def _check(self, specs: Sequence[Spec]) -> None:
        coming: dict[str, int] = {}
        for spec in specs:
            if len(spec.after) > LINKS_MAX:
                raise BusRefused(f"{len(spec.after)} tasks to wait for; {LINKS_MAX} at most")
            coming[spec.queue] = coming.get(spec.queue, 0) + 1
        for queue, count in coming.items():
            await self._database.room(queue_of(queue), count)

    def _wake(self, queues: set[str]) -> None:
        for queue in sorted(queues):
            self._database.wake(queue_of(queue))

    def _now(self) -> float | None:
        return None if self._clock is None else self._clock.unix_s()
