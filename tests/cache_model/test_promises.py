"""Random schedules of the cache protocol keep every promise; `make soak` runs many more."""

from __future__ import annotations

import pytest
from mergepoint_testkit.cache_model.explore import explore, run
from mergepoint_testkit.cache_model.profiles import PROFILES, schedule
from mergepoint_testkit.cache_model.promises import PROMISES

ALL_RULES: frozenset[str] = frozenset()
SCHEDULES = 700
SCHEDULES_SOAK = 20_000


def keep_every_promise(profile: str, seeds: range) -> int:
    hits = 0
    for outcome in explore(seeds, PROFILES[profile], ALL_RULES):
        told = "; ".join(f"{one.promise}: {one.text}" for one in outcome.violations)
        command = "python -m mergepoint_testkit.cache_model --seeds 1"
        assert not told, f"{command} --profile {profile} --first {outcome.seed}: {told}"
        hits += outcome.hits
    return hits


@pytest.mark.parametrize("profile", PROFILES)
def test_no_schedule_breaks_a_promise(profile: str) -> None:
    hits = keep_every_promise(profile, range(SCHEDULES))

    assert hits > SCHEDULES, "schedules without hits prove nothing"


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_no_schedule_of_very_many_breaks_a_promise(profile: str) -> None:
    keep_every_promise(profile, range(SCHEDULES, SCHEDULES_SOAK))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_gives_the_same_schedule_and_the_same_outcome_again(profile: str) -> None:
    steps = schedule(7, PROFILES[profile])
    first = run(steps, PROFILES[profile], ALL_RULES, tracing=True)

    assert schedule(7, PROFILES[profile]) == steps
    assert run(steps, PROFILES[profile], ALL_RULES, tracing=True) == first
    assert schedule(8, PROFILES[profile]) != steps


def test_every_promise_is_broken_by_some_schedule_when_rules_are_off() -> None:
    off = frozenset({"I1-tags", "I1-generation", "I4", "I8", "I11", "linear", "I3-hold"})
    broken: set[str] = set()
    for outcome in explore(range(100), PROFILES["normal"], off):
        broken |= outcome.promises

    # What never ends is a fault of the model's own moves, no rule prevents it.
    assert broken == set(PROMISES) - {"ends"}
