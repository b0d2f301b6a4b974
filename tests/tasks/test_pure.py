"""Pauses, rates, ids, documents, names, settings: what depends on its arguments alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.tasks.contract import Ending, Finish, Finished, Settled, TaskRecord
from mergepoint.tasks.errors import RunnerRefused, ScheduleRefused
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.rates import take_token
from mergepoint.tasks.retry import fraction, pause_s
from mergepoint.tasks.runner.config import read
from mergepoint.tasks.runner.named import meant
from mergepoint.tasks.settling import cancel, settle
from mergepoint.tasks.spec import Backoff, Options, Rate, RunsIn, Spec
from mergepoint.tasks.states import TaskState

backoffs = st.builds(
    Backoff,
    first_s=st.floats(0.01, 100),
    factor=st.floats(1, 10),
    max_s=st.floats(1, 1e5),
    jitter=st.floats(0, 1),
)


@given(backoff=backoffs, attempt=st.integers(1, 10_000), seed=st.text(max_size=20))
def test_a_pause_is_within_its_bounds_and_the_same_every_time(
    backoff: Backoff, attempt: int, seed: str
) -> None:
    pause = pause_s(backoff, attempt, seed)

    assert 0 <= pause <= backoff.max_s
    assert pause == pause_s(backoff, attempt, seed)


def test_pauses_double_up_to_their_maximum() -> None:
    backoff = Backoff(first_s=2, factor=2, max_s=20, jitter=0)
    assert [pause_s(backoff, n, "x") for n in range(1, 7)] == [2, 4, 8, 16, 20, 20]


def test_tasks_that_failed_together_do_not_come_back_together() -> None:
    pauses = {round(pause_s(Backoff(first_s=100), 1, f"task {n}"), 3) for n in range(100)}
    assert len(pauses) > 90
    assert 0.4 < sum(fraction(str(n)) for n in range(1000)) / 1000 < 0.6


@given(
    count=st.integers(1, 20),
    per_s=st.floats(0.1, 100),
    gaps=st.lists(st.floats(-5, 20), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_starts_than_the_rate_and_one_burst(
    count: int, per_s: float, gaps: list[float]
) -> None:
    rate, bucket, now, starts = Rate(count=count, per_s=per_s), None, 1000.0, []
    for gap in gaps:
        now += max(0.0, gap)
        tokens, at, permit_at = take_token(rate, bucket, now)
        bucket = (tokens, at)
        starts.append(permit_at)

    for first in starts:
        window = [at for at in starts if first <= at < first + per_s]
        assert len(window) <= 2 * count


def test_a_clock_that_jumps_back_gives_no_tokens() -> None:
    rate = Rate(count=1, per_s=10)
    tokens, at, _ = take_token(rate, None, 1000.0)
    _, _, permit_at = take_token(rate, (tokens, at), 500.0)
    assert permit_at == 510.0


def test_ids_sort_by_age_even_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    ids = [new_id(1_900_000_000.0 - n // 100) for n in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    assert all(each[14] == "7" and each[19] in "89ab" for each in ids)


names = st.text(min_size=1, max_size=10)
specs = st.builds(
    Spec,
    id=names,
    name=names,
    payload=st.binary(max_size=20),
    priority=st.integers(0, 9),
    after=st.lists(names, max_size=3).map(tuple),
    context=st.dictionaries(names, names, max_size=2),
    options=st.builds(
        Options,
        retries=st.integers(0, 9),
        rate=st.none() | st.builds(Rate, count=st.integers(1, 9), per_s=st.floats(0.1, 9)),
        runs_in=st.sampled_from(RunsIn),
    ),
)


@given(spec=specs, state=st.sampled_from(TaskState), result=st.binary(max_size=20))
def test_a_record_comes_back_from_its_document_as_it_was(
    spec: Spec, state: TaskState, result: bytes
) -> None:
    record = TaskRecord(spec=spec, state=state, result=result)
    document = json.loads(json.dumps(to_plain(record)))

    assert from_plain(TaskRecord, document) == record


def test_a_document_of_a_newer_release_is_read_without_what_is_not_known() -> None:
    plain = {"settled": [{"id": "a", "state": "dead", "colour": "red"}], "weight": 3}
    assert from_plain(Finished, plain) == Finished(settled=(Settled(id="a", state=TaskState.DEAD),))


@pytest.mark.parametrize("plain", [3, [], {"id": 3, "state": "dead"}, {"state": "dead"}])
def test_what_is_no_document_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match="no Settled"):
        from_plain(Settled, plain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[]", "no object"),
        ("{}", "modules is missing"),
        ('{"module": "m", "threads": 0}', "threads is 0"),
        ('{"module": "m", "drain_s": -1}', "drain_s is -1"),
    ],
)
def test_a_wrong_setting_of_a_runner_is_refused_by_its_name(text: str, words: str) -> None:
    with pytest.raises(RunnerRefused, match=words):
        read({"MERGEPOINT_TASKS": text})


def test_a_name_in_the_manifest_finds_its_task() -> None:
    declared = ["tracker.jobs.nightly", "tracker.jobs.hourly", "plain"]
    assert meant("tickets.nightly", "tickets", declared) == "tracker.jobs.nightly"
    assert meant("tracker.jobs.hourly", "tickets", declared) == "tracker.jobs.hourly"
    assert meant("tickets.plain", "tickets", declared) == "plain"
    with pytest.raises(ScheduleRefused, match=r"is no task of this app: .*hourly"):
        meant("tickets.weekly", "tickets", declared)
    with pytest.raises(ScheduleRefused, match="fits several"):
        meant("t.run", "t", ["a.run", "b.run"])


@pytest.mark.parametrize(
    ("ending", "error", "kept"),
    [
        (Ending.FAILED, "interrupted: cancelled", "no room"),
        (Ending.FAILED, "ValueError: x", "no room; then: ValueError: x"),
        (Ending.CANCELLED, "", "no room"),
        (Ending.RETURNED, "the runner stopped", "no room"),
        (Ending.CRASHED, "signal 9", "no room; then: signal 9"),
    ],
)
def test_a_cancelled_task_says_why_however_its_run_ended(
    ending: Ending, error: str, kept: str
) -> None:
    running = TaskRecord(
        spec=Spec(id="t", name="t"), state=TaskState.RUNNING, token="k", created_at=0.0,
        changed_at=0.0,
    )  # fmt: skip
    asked = cancel(running, "no room", 1.0)
    after = settle(asked, Finish(id="t", token="k", ending=ending, error=error), 2.0)

    assert after is not None
    assert (after.state, after.error) == (TaskState.CANCELLED, kept)
