"""What becomes of a task when it is started, when it ends, when it is released or cancelled.

Place:  tasks.ledger.* load a record, ask [tasks.settling], save what it answers
Rule:   pure: a record, an event and the time in, a record out; every state by tasks.states.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mergepoint.tasks.contract import Ending, Finish, Progress, Release, Start, TaskRecord
from mergepoint.tasks.retry import pause_s
from mergepoint.tasks.spec import ERROR_CHARACTERS_MAX, Spec
from mergepoint.tasks.states import FINAL, Event, TaskState, can, step

DEAD_S = 14 * 86400.0
"""How long a dead task is kept."""
INTERRUPTED = "interrupted: "
"""How the error of a handler begins that only did as it was told."""
STARTABLE = frozenset({TaskState.PENDING, TaskState.QUEUED, TaskState.RUNNING})


def accept(spec: Spec, now: float, *, waits: bool) -> TaskRecord:
    """Return the record of a new task; `waits`: something stands before it."""
    record = TaskRecord(
        spec=spec,
        state=TaskState.HELD if waits else TaskState.PENDING,
        created_at=now,
        changed_at=now,
        due_at=spec.not_before,
    )
    return record if waits or spec.not_before <= now else _moved(record, Event.DELAY, now)


def free(record: TaskRecord, now: float) -> TaskRecord:
    """Let a held task go: into its queue, or to wait for its time."""
    return _moved(record, Event.FREE if record.due_at <= now else Event.DELAY, now)


def begin(record: TaskRecord, start: Start, now: float) -> tuple[TaskRecord, str]:
    """Return the record after this start, and why it must not run ("" when it may)."""
    if record.state not in STARTABLE:
        return record, f"the task is {record.state}"
    if start.message_id != record.message_id:
        return record, f"a message of another time; the present one is {record.message_id}"
    if record.state is TaskState.RUNNING:
        return _taken_over(record, start, now)
    if record.spec.expires_at and record.spec.expires_at <= now:
        return _ended(record, Event.GIVE_UP, now, "expired before it was started"), "expired"
    return _moved(
        record,
        Event.START,
        now,
        attempt=record.attempt + 1,
        token=start.token,
        worker=start.worker,
        started_at=now,
        touched_at=now,
        cancelling=False,
        permit_at=0.0,
        progress=Progress(),
    ), ""


def slow_down(record: TaskRecord, permit_at: float, now: float) -> TaskRecord:
    """Let a task that was taken wait for its rate; it need not ask again."""
    return _moved(record, Event.DELAY, now, due_at=permit_at, permit_at=permit_at)


def settle(record: TaskRecord, finish: Finish, now: float) -> TaskRecord | None:
    """Return the record after this end of a run; None when the run is not this record's."""
    if record.state is not TaskState.RUNNING or record.token != finish.token:
        return None
    error = finish.error[:ERROR_CHARACTERS_MAX]
    match finish.ending:
        case Ending.COMPLETED:
            result = {"result": finish.result, "result_type": finish.result_type}
            return _ended(record, Event.COMPLETE, now, "", **result)
        case Ending.FAILED if record.cancelling:
            return _ended(record, Event.CANCEL, now, _reason(record, error))
        case Ending.FAILED:
            return _failed(record, error, now)
        case Ending.SNOOZED:
            later = replace(_moved(record, Event.SNOOZE, now), due_at=now + max(0, finish.delay_s))
            return replace(later, attempt=record.attempt - 1)
        case Ending.CANCELLED:
            return _ended(record, Event.CANCEL, now, _reason(record, error))
        case Ending.CRASHED:
            return _crashed(record, error, now)
        case Ending.RETURNED if record.cancelling:
            return _ended(record, Event.CANCEL, now, _reason(record, ""))
        case Ending.RETURNED:
            return again(replace(record, attempt=record.attempt - 1), Event.RETURN, now)
        case Ending.PARKED:
            parked = replace(_moved(record, Event.PARK, now), error=error)
            return replace(parked, attempt=record.attempt - 1)
        case Ending.GIVEN_UP:
            return _ended(record, Event.GIVE_UP, now, error)


def again(record: TaskRecord, event: Event, now: float) -> TaskRecord:
    """Send a task into its queue with a new message, which makes every older one stale."""
    generation = record.generation + 1
    return _moved(record, event, now, generation=generation, token="", due_at=0.0)


def cancel(record: TaskRecord, reason: str, now: float) -> TaskRecord:
    """Cancel what waits, ask what runs to end; what has ended stays as it is."""
    if record.state is TaskState.RUNNING:
        return replace(record, cancelling=True, error=reason)
    return _ended(record, Event.CANCEL, now, reason) if can_cancel(record) else record


def can_cancel(record: TaskRecord) -> bool:
    """Tell whether a cancel changes this task at once; a dead one stays dead."""
    return record.state not in FINAL and can(record.state, Event.CANCEL)


def replay(record: TaskRecord, spec: Spec, now: float) -> TaskRecord:
    """Give an ended task fresh attempts; raise `ImpossibleStep` where it is not ended."""
    fresh = again(record, Event.REPLAY, now)
    return replace(
        fresh, spec=spec, attempt=0, crashes=0, cancelling=False, keep_until=0.0, started_at=0.0
    )


def silent(record: TaskRecord, now: float) -> TaskRecord:
    """Decide about a running task that nobody speaks for: it counts as a crash."""
    return _crashed(record, "nobody spoke for it; its message was lost", now)


def releasable(record: TaskRecord) -> Release:
    """Return what is put into the queue for a pending task."""
    spec = record.spec
    return Release(
        id=spec.id,
        generation=record.generation,
        name=spec.name,
        queue=spec.queue,
        priority=spec.priority,
        expires_at=spec.expires_at,
        app=spec.app,
        context=spec.context,
    )


def holds_unique(record: TaskRecord, now: float) -> bool:
    """Tell whether the task still keeps others of its unique key out."""
    unique = record.spec.unique
    return record.state in unique.states or now < record.created_at + unique.period_s


def _taken_over(record: TaskRecord, start: Start, now: float) -> tuple[TaskRecord, str]:
    if record.token == start.token:
        return record, ""  # the answer to the first call was lost on its way
    # The same message in other hands: whoever ran it lost its lease or its life.
    crashed = _crashed(record, f"its process died or lost it ({record.worker})", now)
    if crashed.state is TaskState.DEAD:
        return crashed, crashed.error
    if record.cancelling:
        return _ended(record, Event.CANCEL, now, record.error), "cancelled"
    return replace(
        _moved(record, Event.START, now),
        crashes=crashed.crashes,
        token=start.token,
        worker=start.worker,
        started_at=now,
        touched_at=now,
        progress=Progress(),
    ), ""


def _reason(record: TaskRecord, error: str) -> str:
    """Return why it was cancelled: what the caller gave, then what its handler had to say."""
    if not record.cancelling or not record.error:
        return error or "cancelled"
    if not error or error.startswith(INTERRUPTED):
        return record.error
    return f"{record.error}; then: {error}"[:ERROR_CHARACTERS_MAX]


def _failed(record: TaskRecord, error: str, now: float) -> TaskRecord:
    options = record.spec.options
    if record.attempt > options.retries:
        return _ended(record, Event.GIVE_UP, now, error)
    due_at = now + pause_s(options.backoff, record.attempt, record.id)
    return replace(_moved(record, Event.FAIL, now), due_at=due_at, error=error, token="")


def _crashed(record: TaskRecord, error: str, now: float) -> TaskRecord:
    crashes = record.crashes + 1
    counted = replace(record, crashes=crashes, error=error)
    if crashes >= record.spec.options.crashes_max:
        reason = f"poison: the process that ran it died {crashes} times; last: {error}"
        return _ended(counted, Event.GIVE_UP, now, reason)
    if record.cancelling:
        return _ended(counted, Event.CANCEL, now, _reason(record, error))
    return again(replace(counted, attempt=record.attempt - 1), Event.CRASH, now)


def _ended(record: TaskRecord, event: Event, now: float, error: str, **changes: Any) -> TaskRecord:
    dead = event is Event.GIVE_UP
    keep_until = now + (DEAD_S if dead else record.spec.options.keep_result_s)
    ending = {"error": error, "keep_until": keep_until, "token": "", "cancelling": False}
    return _moved(record, event, now, **ending, **changes)


def _moved(record: TaskRecord, event: Event, now: float, **changes: Any) -> TaskRecord:
    # Any: fields of a record. One copy for a step; copies are what most of its time goes into.
    return replace(record, state=step(record.state, event), changed_at=now, **changes)
