"""The table of states, and records that walk through it at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.tasks.contract import Ending, Finish, Start, TaskRecord
from mergepoint.tasks.errors import ImpossibleStep
from mergepoint.tasks.settling import (
    accept,
    again,
    begin,
    cancel,
    free,
    replay,
    settle,
    silent,
    slow_down,
)
from mergepoint.tasks.spec import Options, Spec
from mergepoint.tasks.states import FINAL, OPEN, STEPS, WAITING, Event, TaskState, can, step


def test_every_state_can_be_reached_and_every_open_one_can_be_left() -> None:
    born = {TaskState.PENDING, TaskState.HELD}
    assert set(STEPS.values()) | born == set(TaskState)
    assert {before for before, _ in STEPS} >= OPEN


def test_every_event_means_something_somewhere() -> None:
    assert {event for _, event in STEPS} == set(Event)


def test_nothing_but_a_replay_brings_an_ended_task_back() -> None:
    back = {event for (state, event), after in STEPS.items() if state in FINAL and after in OPEN}
    assert back == {Event.REPLAY}


def test_what_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(ImpossibleStep, match="a task that is completed cannot start"):
        step(TaskState.COMPLETED, Event.START)


ACTS = ("start", "redeliver", "put", "free", "due", "sweep", "cancel", "replay", "slow", "silent")
ACT = st.one_of(st.sampled_from(ACTS), st.sampled_from(list(Ending)))


def walk(record: TaskRecord, act: str | Ending, now: float, number: int) -> TaskRecord:
    """Do one thing that its ledger may do to a record in its state."""
    state, token = record.state, f"t{number}"
    start = Start(message_id=record.message_id, token=token, worker="w")
    match act:
        case Ending():
            finish = Finish(id=record.id, token=record.token, ending=act, delay_s=5)
            return settle(record, finish, now) or record
        case "start" | "redeliver":
            return begin(record, start, now)[0]
        case "put" if state is TaskState.PENDING:
            return replace(record, state=step(state, Event.PUT))
        case "free" if state is TaskState.HELD:
            return free(record, now)
        case "due" if state in WAITING and record.due_at <= now:
            return again(record, Event.DUE, now)
        case "sweep" if state is TaskState.PENDING:
            return again(record, Event.DUE, now)
        case "cancel":
            return cancel(record, "no", now)
        case "replay" if can(state, Event.REPLAY):
            return replay(record, record.spec, now)
        case "slow" if state is TaskState.QUEUED:
            return slow_down(record, now + 1, now)
        case "silent" if state is TaskState.RUNNING:
            return silent(record, now)
    return record


@given(
    acts=st.lists(ACT, max_size=60),
    retries=st.integers(0, 3),
    waits=st.booleans(),
    later=st.sampled_from([0.0, 5.0]),
)
def test_whatever_happens_to_a_task_its_counts_and_its_state_agree(
    acts: list[str | Ending], retries: int, waits: bool, later: float
) -> None:
    options = Options(retries=retries, crashes_max=3)
    spec = Spec(id="t", name="n", options=options, not_before=later)
    record, now = accept(spec, 0.0, waits=waits), 0.0
    for number, act in enumerate(acts):
        before, now = record, now + 3.0
        record = walk(record, act, now, number)

        assert 0 <= record.attempt <= retries + 1
        assert 0 <= record.crashes <= options.crashes_max
        assert (record.token != "") or record.state is not TaskState.RUNNING
        assert (record.keep_until > 0) == (record.state in FINAL)
        assert record.generation >= before.generation
        if record.state is not before.state:
            assert (before.state, record.state) in {(s, after) for (s, _), after in STEPS.items()}
        if record.state is TaskState.RUNNING:
            stranger = Finish(id="t", token="stranger", ending=Ending.COMPLETED)
            assert settle(record, stranger, now) is None


@given(acts=st.lists(ACT, max_size=60))
def test_a_message_of_an_older_generation_never_starts_a_task(acts: list[str | Ending]) -> None:
    record, now, old = accept(Spec(id="t", name="n"), 0.0, waits=False), 0.0, set[str]()
    for number, act in enumerate(acts):
        now += 3.0
        before = record.message_id
        record = walk(record, act, now, number)
        if record.message_id != before:
            old.add(before)
        for message in old:
            after, reason = begin(record, Start(message_id=message, token="x"), now)
            assert reason
            assert after == record
