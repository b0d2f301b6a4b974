"""What people and the clock ask of PostgreSQL's ledger: cancel, replay, forget, what is due.

Place:  ledger.postgres -> [postgres_operating] -> postgres_work
Rule:   inside one transaction each, a bounded part at a time; decisions are tasks.settling's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mergepoint.tasks.contract import Due, Finished, Settled, TaskRecord
from mergepoint.tasks.errors import ImpossibleStep, NoSuchTask
from mergepoint.tasks.ledger import postgres_rows as rows
from mergepoint.tasks.ledger.postgres_work import OPEN_SQL, Book
from mergepoint.tasks.settling import again, cancel, silent
from mergepoint.tasks.settling import replay as replayed
from mergepoint.tasks.spec import PENDING_S, SILENT_S
from mergepoint.tasks.states import FINAL, Event, TaskState

FORGET_MAX = 500
"""Tasks that are forgotten at a time."""
TICKS_KEPT_S = 14 * 86400.0
"""How long a fired tick is remembered by name; the newest one of a schedule always is."""
FORGET_EVERY_S = 60.0
NEEDED_S = 3600.0
"""How much longer a result is kept that an open task still waits for."""
_NEXT = """
SELECT least(
    (SELECT min(due_at) FROM mergepoint.task WHERE state IN ('scheduled', 'retryable')),
    (SELECT min(changed_at) + %s FROM mergepoint.task WHERE own_end <> ''),
    (SELECT min(touched_at) + %s FROM mergepoint.task WHERE state = 'running'),
    (SELECT min(keep_until) + %s FROM mergepoint.task WHERE keep_until > 0)
)
"""
_LINES = (
    "SELECT mergepoint.lock_task_lines("
    "ARRAY[mergepoint.task_line(%s, %s), mergepoint.task_line(chr(30), %s)])"
)
_TAKEN = "SELECT 1 FROM mergepoint.task WHERE unique_key = %s AND unique_key <> '' AND id <> %s"
_OTHERS = f"""
SELECT 1 FROM mergepoint.task
WHERE queue = %s AND key = %s AND key <> '' AND id <> %s AND {OPEN_SQL} LIMIT 1
"""  # noqa: S608
_OLD = f"""
SELECT t.id, EXISTS (
    SELECT FROM mergepoint.task_link l JOIN mergepoint.task w ON w.id = l.task
    WHERE l.before = t.id AND w.{OPEN_SQL}
) FROM mergepoint.task t
WHERE t.keep_until > 0 AND t.keep_until <= %s ORDER BY t.keep_until LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_FORGET = (
    "DELETE FROM mergepoint.task_link WHERE before = ANY (%s::text[])",
    "DELETE FROM mergepoint.task_link WHERE task = ANY (%s::text[])",
    "DELETE FROM mergepoint.task_once WHERE task = ANY (%s::text[])",
    "DELETE FROM mergepoint.task WHERE id = ANY (%s::text[])",
)


async def cancel_task(book: Book, task: str, reason: str) -> Finished:
    """End a task or ask it to end; a final one stays as it is."""
    before = await _found(book, task)
    after = before if before.state in FINAL else cancel(before, reason, book.now)
    book.change(after)
    await book.write()
    return Finished(settled=(Settled(id=task, state=after.state),))


async def replay(book: Book, task: str, payload: bytes | None, content_type: str) -> None:
    """Run an ended task anew; behind others of its key it is held again."""
    before = await _found(book, task)
    spec = replace(before.spec, expires_at=0.0)
    if payload is not None:
        spec = replace(spec, payload=payload, content_type=content_type or spec.content_type)
    after = replace(replayed(before, spec, book.now), result=b"")
    await book.tell(_LINES, (spec.queue, spec.key, spec.unique_key))
    taken = await book.ask(_TAKEN, (spec.unique_key, task))
    if taken:
        raise ImpossibleStep(f"another task has the unique key {spec.unique_key!r} now")
    others = await book.ask(_OTHERS, (spec.queue, spec.key, task))
    await book.tell(
        "UPDATE mergepoint.task SET place = nextval('mergepoint.task_place'),"
        " spec = %s::text::jsonb, payload = %s WHERE id = %s",
        (rows.spec_text(spec), spec.payload, task),
    )
    book.change(replace(after, state=TaskState.HELD) if others else after)
    await book.write()


async def discard(book: Book, tasks: Sequence[str]) -> int:
    """Forget final tasks; what waited for a dead one is cancelled."""
    await book.hold(tasks)
    records = [record for task in dict.fromkeys(tasks) if (record := book.get(task)) is not None]
    final = [record for record in records if record.state in FINAL]
    dead = [record.id for record in final if record.state is TaskState.DEAD]
    if dead:
        await book.cancel_followers(dead, "discarded")
    for record in final:
        if book.own_ends[record.id]:
            book.follow(record.id)
    await book.write()
    await _forget(book, [record.id for record in final])
    return len(final)


async def register(book: Book, names: Sequence[str]) -> None:
    """Release what was parked for want of these names."""
    await book.look_at_clock()
    for record in await book.hold_where(
        "state = 'parked' AND name = ANY (%s::text[])", (list(names),)
    ):
        book.change(again(record, Event.KNOWN, book.now))
    await book.write()


async def due(book: Book, limit: int) -> Due:
    """Release at most `limit` of each kind; `next_at` is now when there may be more.

    Nothing is ever pending here: record and message are written together. What ended itself in a
    transaction of its app, and whose runner did not come back, is followed up after `PENDING_S`.
    """
    await book.look_at_clock()
    now = book.now
    waiting = await book.hold_where(
        "state IN ('scheduled', 'retryable') AND due_at <= %s ORDER BY due_at LIMIT %s",
        (now, limit),
    )
    waiting.sort(key=lambda record: (-record.spec.priority, record.due_at, record.place))
    for record in waiting:
        book.change(again(record, Event.DUE, now))
    quiet = await book.hold_where(
        "state = 'running' AND touched_at <= %s ORDER BY touched_at LIMIT %s",
        (now - SILENT_S, limit),
    )
    for record in quiet:
        book.change(silent(record, now))
    left = await book.hold_where(
        "own_end <> '' AND (own_end = 'line' OR changed_at <= %s) ORDER BY changed_at LIMIT %s",
        (now - PENDING_S, limit),
    )
    for record in left:
        book.follow(record.id)
    await book.write()
    gone = await _forget_old(book)
    more = any(len(found) >= limit for found in (waiting, quiet, left)) or gone >= FORGET_MAX
    return Due(next_at=now if more else await _next_at(book))


async def _next_at(book: Book) -> float:
    ((at,),) = await book.ask(_NEXT, (PENDING_S, SILENT_S, FORGET_EVERY_S))
    return float(at or 0.0)


async def _forget_old(book: Book) -> int:
    """Forget final tasks whose time is over, but not results that somebody waits for."""
    found = await book.ask(_OLD, (book.now, FORGET_MAX))
    if not found:
        return 0
    await book.tell("DELETE FROM mergepoint.task_tick WHERE tick < %s", (book.now - TICKS_KEPT_S,))
    needed = [task for task, is_needed in found if is_needed]
    if needed:
        await book.tell(
            "UPDATE mergepoint.task SET keep_until = %s WHERE id = ANY (%s::text[])",
            (book.now + NEEDED_S, needed),
        )
    await _forget(book, [task for task, is_needed in found if not is_needed])
    return len(found)


async def _forget(book: Book, tasks: Sequence[str]) -> None:
    for statement in _FORGET if tasks else ():
        await book.tell(statement, (list(tasks),))


async def _found(book: Book, task: str) -> TaskRecord:
    await book.hold([task])
    record = book.get(task)
    if record is None:
        raise NoSuchTask(f"no task {task} is recorded", next="mergepoint tasks list")
    return record
