"""The life of a task: every state, every event, and what each event makes of each state.

Place:  [tasks.states] -> tasks.settling, ledgers, the docs table
Rule:   one table; what is not in it cannot happen, and the documentation is drawn from it.
"""

from __future__ import annotations

from enum import StrEnum

from mergepoint.tasks.errors import ImpossibleStep


class TaskState(StrEnum):
    """Where a task is."""

    PENDING = "pending"
    """Recorded, not yet known to be in its queue; put again when it stays so too long."""
    SCHEDULED = "scheduled"
    """Waits in the ledger for its time: a delay, a snooze, a rate limit."""
    HELD = "held"
    """Waits for another task: the one before it of its key, of its chain, of its group."""
    QUEUED = "queued"
    """In its queue, to be taken."""
    RUNNING = "running"
    """In somebody's hands, under a token."""
    RETRYABLE = "retryable"
    """Failed, and waits in the ledger for its next attempt."""
    PARKED = "parked"
    """No runner knows its name; released as soon as one does."""
    COMPLETED = "completed"
    """Done; its result is kept for `keep_result_s`."""
    CANCELLED = "cancelled"
    """Ended by its handler, by a caller, or because what it waited for was."""
    DEAD = "dead"
    """Given up, with the reason; kept to be looked at, edited, replayed or discarded."""


class Event(StrEnum):
    """What can happen to a task."""

    PUT = "put"
    """The queue has it."""
    DUE = "due"
    """Its time has come, or it was pending for too long."""
    FREE = "free"
    """What it waited for is done."""
    DELAY = "delay"
    """It must wait for a time first."""
    START = "start"
    """Somebody took it, for the first time or after the last one died."""
    COMPLETE = "complete"
    """The handler returned."""
    FAIL = "fail"
    """The handler raised or ran out of time, and there are attempts left."""
    SNOOZE = "snooze"
    """The handler asked to be run later; no attempt counted."""
    CRASH = "crash"
    """The process that ran it died, and it may be tried again."""
    RETURN = "return"
    """Given back by a runner that stops; no attempt counted."""
    PARK = "park"
    """Nobody here knows its name."""
    KNOWN = "known"
    """A runner that knows its name has come."""
    CANCEL = "cancel"
    """A caller or the handler ends it, or what it waited for was cancelled."""
    GIVE_UP = "give_up"
    """No attempts left, poison, undecodable, or expired."""
    REPLAY = "replay"
    """A person wants it run anew, with fresh attempts."""


FINAL = frozenset({TaskState.COMPLETED, TaskState.CANCELLED, TaskState.DEAD})
"""Nothing but a replay leaves these."""
OPEN = frozenset(TaskState) - FINAL
WAITING = frozenset({TaskState.SCHEDULED, TaskState.RETRYABLE})
"""Released by the clock."""

_S, _E = TaskState, Event
STEPS: dict[tuple[TaskState, Event], TaskState] = {
    (_S.PENDING, _E.PUT): _S.QUEUED,
    # A message may be taken before whoever put it could say so, and put twice by who swept it up.
    (_S.PENDING, _E.START): _S.RUNNING,
    (_S.PENDING, _E.DUE): _S.PENDING,
    (_S.PENDING, _E.DELAY): _S.SCHEDULED,
    (_S.PENDING, _E.CANCEL): _S.CANCELLED,
    (_S.PENDING, _E.GIVE_UP): _S.DEAD,
    (_S.SCHEDULED, _E.DUE): _S.PENDING,
    (_S.SCHEDULED, _E.CANCEL): _S.CANCELLED,
    (_S.SCHEDULED, _E.GIVE_UP): _S.DEAD,
    (_S.HELD, _E.FREE): _S.PENDING,
    (_S.HELD, _E.DELAY): _S.SCHEDULED,
    (_S.HELD, _E.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _E.START): _S.RUNNING,
    (_S.QUEUED, _E.DELAY): _S.SCHEDULED,
    (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _E.GIVE_UP): _S.DEAD,
    (_S.RUNNING, _E.START): _S.RUNNING,
    (_S.RUNNING, _E.COMPLETE): _S.COMPLETED,
    (_S.RUNNING, _E.FAIL): _S.RETRYABLE,
    (_S.RUNNING, _E.SNOOZE): _S.SCHEDULED,
    (_S.RUNNING, _E.CRASH): _S.PENDING,
    (_S.RUNNING, _E.RETURN): _S.PENDING,
    (_S.RUNNING, _E.PARK): _S.PARKED,
    (_S.RUNNING, _E.CANCEL): _S.CANCELLED,
    (_S.RUNNING, _E.GIVE_UP): _S.DEAD,
    (_S.RETRYABLE, _E.DUE): _S.PENDING,
    (_S.RETRYABLE, _E.CANCEL): _S.CANCELLED,
    (_S.RETRYABLE, _E.GIVE_UP): _S.DEAD,
    (_S.PARKED, _E.KNOWN): _S.PENDING,
    (_S.PARKED, _E.CANCEL): _S.CANCELLED,
    (_S.PARKED, _E.GIVE_UP): _S.DEAD,
    (_S.DEAD, _E.REPLAY): _S.PENDING,
    (_S.DEAD, _E.CANCEL): _S.CANCELLED,
    (_S.CANCELLED, _E.REPLAY): _S.PENDING,
}
"""State and event to the next state. A task that is `PENDING` in a ledger that is also the queue
is put in the same transaction, so nobody ever sees it so."""


def step(state: TaskState, event: Event) -> TaskState:
    """Return the next state; raise `ImpossibleStep` for what the table does not have."""
    try:
        return STEPS[state, event]
    except KeyError:
        raise ImpossibleStep(f"a task that is {state} cannot {event}") from None


def can(state: TaskState, event: Event) -> bool:
    """Tell whether the table has this step."""
    return (state, event) in STEPS
