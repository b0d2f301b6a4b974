"""When a pool grows or shrinks, a process is replaced, a canary steps back: the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mergepoint.supervisor import judge
from mergepoint.supervisor.contract import AppSpec, ProcessLimits
from mergepoint.supervisor.judge import CALM_S, Load, Tally, Trend, Verdict
from mergepoint.supervisor.limits import niceness, rlimits

SPEC = AppSpec(
    "shop", "d", ("run",), "unix", {}, Path("/"), processes=1, processes_min=1, processes_max=4,
    concurrency=4,
)  # fmt: skip


def follow(
    loads: list[tuple[float, Load]], count: int, *, room: bool = True, spec: AppSpec = SPEC
) -> int:
    """Return the number of slots after a series of samples."""
    trend = Trend()
    for now, load in loads:
        count, trend = judge.scaled(spec, count, load, trend, now, room=room)
    return count


WAITING, BUSY, IDLE = Load(queue=3, in_flight=4), Load(in_flight=8), Load(in_flight=1)


@pytest.mark.parametrize(
    ("promise", "loads", "before", "after"),
    [
        ("one look with a queue is chance", [WAITING], 1, 1),
        ("two looks with a queue add a process", [WAITING, WAITING], 1, 2),
        ("a look without a queue starts the count again", [WAITING, BUSY, WAITING], 1, 1),
        ("dropped requests count as waiting", [Load(dropped=1), Load(dropped=1)], 1, 2),
        ("the bound is kept", [WAITING] * 9, 4, 4),
        ("a calm while takes a process away", [IDLE] * 32, 2, 1),
        ("a busy pool keeps its size", [BUSY] * 60, 2, 2),
        ("a moment of calm changes nothing", [IDLE] * 20, 2, 2),
        ("the least number is kept", [IDLE] * 99, 1, 1),
    ],
)
def test_scaling(promise: str, loads: list[Load], before: int, after: int) -> None:
    assert follow(list(enumerate(loads)), before) == after, promise


def test_a_pool_does_not_grow_beyond_the_memory_budget() -> None:
    assert follow([(n, WAITING) for n in range(9)], 1, room=False) == 1


def test_a_fixed_pool_is_never_scaled_by_load() -> None:
    fixed = replace(SPEC, processes_max=1)
    assert follow([(n, WAITING) for n in range(9)], 1, spec=fixed) == 1


def test_calm_is_counted_from_its_beginning() -> None:
    count, trend = judge.scaled(SPEC, 2, IDLE, Trend(), 100.0, room=True)
    assert (count, trend) == (2, Trend(calm_since_s=100.0))
    assert judge.scaled(SPEC, 2, IDLE, trend, 100.0 + CALM_S, room=True)[0] == 1


@pytest.mark.parametrize(
    ("canary", "stable", "watched_s", "verdict"),
    [
        (Tally(0, 0), Tally(100, 0), 5, Verdict.WATCH),
        (Tally(50, 2), Tally(100, 0), 5, Verdict.WATCH),
        (Tally(50, 3), Tally(100, 0), 5, Verdict.STEP_BACK),
        (Tally(50, 3), Tally(100, 0), 60, Verdict.STEP_BACK),
        (Tally(100, 10), Tally(100, 10), 5, Verdict.WATCH),
        (Tally(100, 10), Tally(100, 10), 60, Verdict.PROMOTE),
        (Tally(50, 2), Tally(100, 0), 60, Verdict.PROMOTE),
        (Tally(2, 2), Tally(100, 0), 60, Verdict.STEP_BACK),
        (Tally(2, 2), Tally(100, 100), 60, Verdict.PROMOTE),
        (Tally(0, 0), Tally(99, 0), 59, Verdict.WATCH),
        (Tally(0, 0), Tally(99, 0), 60, Verdict.STEP_BACK),
    ],
)
def test_a_canary_is_judged_against_what_serves_beside_it(
    canary: Tally, stable: Tally, watched_s: float, verdict: Verdict
) -> None:
    assert judge.canary_verdict(canary, stable, watched_s, 30.0) is verdict


def test_limits_of_requests_and_age_are_spread_over_processes() -> None:
    spec = replace(SPEC, requests_max=100, requests_jitter=50)
    at = [
        next(n for n in range(100, 152) if judge.outlived(spec, key, n, 0, 0)) for key in range(40)
    ]
    assert min(at) >= 100
    assert max(at) <= 150
    assert len(set(at)) > 10


def test_a_process_over_its_memory_says_how_much() -> None:
    spec = replace(SPEC, limits=ProcessLimits(memory_bytes_max=100 << 20))
    assert judge.outlived(spec, 1, 0, 0, 99 << 20) == ""
    assert judge.outlived(spec, 1, 0, 0, 130 << 20) == "uses 130 MB of memory; its limit is 100 MB"


def test_the_budget_counts_what_runs_and_what_would_come() -> None:
    assert judge.has_room(None, 10**12, 10**12)
    assert judge.has_room(100, 60, 40)
    assert not judge.has_room(100, 60, 41)


def test_limits_are_those_of_the_kernel_and_none_leaves_them_alone() -> None:
    assert rlimits(ProcessLimits()) == {}
    found = rlimits(ProcessLimits(memory_bytes_max=1 << 30, open_files_max=99))
    assert found["RLIMIT_NOFILE"] == 99
    assert found["RLIMIT_DATA"] > 2 << 30
    assert [niceness(share) for share in (None, 1.0, 0.5, 0.1, 0.0001)] == [0, 0, 3, 10, 19]
