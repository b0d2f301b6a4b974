"""Runs in PostgreSQL's ledger: who may start, what an end means, who is still alive.

Place:  ledger.postgres -> [postgres_running] -> postgres_work
Rule:   inside one transaction each; decisions are tasks.settling's.
"""

from __future__ import annotations

from collections.abc import Sequence

from mergepoint.tasks.contract import (
    Ending,
    Finish,
    Finished,
    Settled,
    Start,
    Started,
    TaskRecord,
)
from mergepoint.tasks.ledger import postgres_rows as rows
from mergepoint.tasks.ledger.postgres_work import Book, Database
from mergepoint.tasks.rates import take_token
from mergepoint.tasks.settling import begin, settle, slow_down
from mergepoint.tasks.states import TaskState

_FINISHED = ("id", "token", "result", "result_type")
LOCKED_PAUSE_S = 1.0
"""When a message is looked at again whose task was just being ended by somebody else."""
TOUCH = """
WITH given AS (
    SELECT g.id, g.token FROM unnest(%(ids)s::text[], %(tokens)s::text[]) AS g(id, token)
), alive AS (
    SELECT t.id FROM mergepoint.task t JOIN given g ON g.id = t.id AND g.token = t.token
    WHERE t.state = 'running' FOR UPDATE OF t SKIP LOCKED
), touched AS (
    UPDATE mergepoint.task t SET touched_at = coalesce(%(now)s::float8, mergepoint.unix_now())
    FROM alive a WHERE t.id = a.id
)
SELECT g.id, t.cancelling FROM given g
LEFT JOIN mergepoint.task t ON t.id = g.id AND t.token = g.token AND t.state = 'running'
"""
"""Returns each with whether it is asked to end, null for a lost one. Who is just completing itself
in a transaction of its app is alive, and nobody waits for that transaction here."""
PROGRESS = (
    "UPDATE mergepoint.task SET progress = %s::text::jsonb,"
    " touched_at = coalesce(%s::float8, mergepoint.unix_now())"
    " WHERE id = %s AND token = %s AND state = 'running' RETURNING id"
)
MARKED = "SELECT 1 FROM mergepoint.task_once WHERE task = %s AND key = %s"
MARK = "INSERT INTO mergepoint.task_once VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING task"
_INPUTS = (
    "SELECT l.task, t.result, t.result_type FROM mergepoint.task_link l"
    " JOIN mergepoint.task t ON t.id = l.before WHERE l.task = ANY (%s::text[])"
    " ORDER BY l.task, l.position"
)


async def start_plain(
    database: Database, starts: Sequence[Start], now: float | None
) -> dict[str, TaskRecord]:
    """Start what begins without a decision, in one statement; return it by its message.

    Most tasks are of that kind. Sorted: two that start the same never wait for each other in turn.
    """
    ordered = sorted({each.message_id: each for each in starts}.values(), key=_task_of)
    if not ordered or len(ordered) < len(starts) or len({each.worker for each in ordered}) > 1:
        return {}
    ids, messages = [_task_of(each) for each in ordered], [each.message_id for each in ordered]
    tokens, worker = [each.token for each in ordered], ordered[0].worker
    found = await database.call(rows.START_PLAIN, (ids, messages, tokens, worker, now))
    records = [rows.record_of(row)[0] for row in found]
    return {record.message_id: record for record in records}


async def finish_plain(
    database: Database, finishes: Sequence[Finish], now: float | None
) -> dict[tuple[str, str], Settled]:
    """Complete what nothing follows, in one statement; return it by id and token."""
    plain = [each for each in finishes if each.ending is Ending.COMPLETED and each.token]
    plain = sorted({(each.id, each.token): each for each in plain}.values(), key=lambda f: f.id)
    if not plain or len(plain) < len(finishes):
        return {}
    arrays = [[getattr(each, name) for each in plain] for name in _FINISHED]
    found = {row[0] for row in await database.call(rows.FINISH_PLAIN, (*arrays, now))}
    settled = [each for each in plain if each.id in found]
    return {
        (each.id, each.token): Settled(id=each.id, state=TaskState.COMPLETED) for each in settled
    }


async def start(book: Book, starts: Sequence[Start]) -> list[Started]:
    """Decide for every message; a task that ends here (expired, poison) frees what waits."""
    await book.hold((_task_of(each) for each in starts), wait=False)
    locked = await _locked(book, starts)
    permits = await _Permits.held(book, starts)
    answers: list[Started] = []
    for each in starts:
        before = book.get(_task_of(each))
        if before is None:
            busy = _task_of(each) in locked
            reason = "it is just being ended" if busy else "no such task is recorded"
            answers.append(Started(record=None, reason=reason))
            continue
        after, reason = begin(before, each, book.now)
        if not reason and before.state is not TaskState.RUNNING:
            permit_at = permits.at(before, book.now)
            if permit_at > book.now:
                after = slow_down(before, permit_at, book.now)
                reason = "over its rate; starts later"
        book.change(after)
        answers.append(Started(record=None if reason else after, reason=reason))
    await permits.write(book)
    await book.write()
    return await _with_inputs(book, answers)


async def finish(book: Book, finishes: Sequence[Finish]) -> Finished:
    """Settle runs in order; one that completed itself in its app's transaction is completed."""
    await book.hold(each.id for each in finishes)
    settled: list[Settled] = []
    for each in finishes:
        before = book.get(each.id)
        if before is not None and each.token and book.own_ends[each.id] == each.token:
            book.follow(each.id)
            settled.append(Settled(id=each.id, state=before.state))
            continue
        after = None if before is None else settle(before, each, book.now)
        if before is None or after is None:
            state = None if before is None else before.state
            settled.append(Settled(id=each.id, state=state, lost=True))
            continue
        book.change(after)
        settled.append(Settled(id=each.id, state=after.state))
    await book.write()
    return Finished(settled=tuple(settled))


class _Permits:
    """The buckets of rates that this transaction holds."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float] | None] = {}
        self._spent: set[str] = set()

    @classmethod
    async def held(cls, book: Book, starts: Sequence[Start]) -> _Permits:
        """Lock the buckets that these may need."""
        made = cls()
        asked = [record for each in starts if (record := book.get(_task_of(each))) is not None]
        names = sorted({_bucket_of(record) for record in asked if _needs_token(record)})
        if names:
            await book.tell(
                "INSERT INTO mergepoint.task_bucket SELECT name, 0, null"
                " FROM unnest(%s::text[]) AS b(name) ON CONFLICT DO NOTHING",
                (names,),
            )
            found = await book.ask(
                "SELECT name, tokens, at FROM mergepoint.task_bucket"
                " WHERE name = ANY (%s::text[]) ORDER BY name FOR UPDATE",
                (names,),
            )
            made._buckets = {name: None if at is None else (t, at) for name, t, at in found}
        return made

    def at(self, record: TaskRecord, now: float) -> float:
        """Return when this task may start by its rate; its token is taken once."""
        rate = record.spec.options.rate
        if rate is None or record.permit_at:
            return min(record.permit_at, now)
        name = _bucket_of(record)
        tokens, at, permit_at = take_token(rate, self._buckets[name], now)
        self._buckets[name] = (tokens, at)
        self._spent.add(name)
        return permit_at

    async def write(self, book: Book) -> None:
        """Write what was spent."""
        for name in sorted(self._spent):
            await book.tell(
                "UPDATE mergepoint.task_bucket SET tokens = %s, at = %s WHERE name = %s",
                (*(self._buckets[name] or ()), name),
            )


async def _locked(book: Book, starts: Sequence[Start]) -> set[str]:
    """Return tasks that somebody else holds; their messages come again a little later.

    A handler may keep the transaction open that completes its task; nobody waits for that here.
    """
    missing = sorted({task for each in starts if book.get(task := _task_of(each)) is None})
    if not missing:
        return set()
    found = await book.ask("SELECT id FROM mergepoint.task WHERE id = ANY (%s::text[])", (missing,))
    locked = [row[0] for row in found]
    if locked:
        await book.tell(rows.RELEASE, (locked, "tasks", LOCKED_PAUSE_S))
    return set(locked)


async def _with_inputs(book: Book, answers: Sequence[Started]) -> list[Started]:
    waited = [a.record.id for a in answers if a.record is not None and a.record.spec.after]
    if not waited:
        return list(answers)
    inputs: dict[str, list[tuple[bytes, str]]] = {}
    for task, result, content_type in await book.ask(_INPUTS, (waited,)):
        inputs.setdefault(task, []).append((bytes(result), content_type))
    return [
        answer
        if answer.record is None
        else Started(record=answer.record, inputs=tuple(inputs.get(answer.record.id, ())))
        for answer in answers
    ]


def _task_of(start: Start) -> str:
    return start.message_id.partition(".")[0]


def _needs_token(record: TaskRecord) -> bool:
    return record.spec.options.rate is not None and not record.permit_at


def _bucket_of(record: TaskRecord) -> str:
    rate = record.spec.options.rate
    return (rate.bucket if rate is not None else "") or record.spec.name
