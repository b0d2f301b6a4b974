"""Without any one of its rules the protocol breaks, and the model finds out."""

from __future__ import annotations

import pytest
from mergepoint_testkit.cache_model import known
from mergepoint_testkit.cache_model.explore import explore, run
from mergepoint_testkit.cache_model.profiles import PROFILES, schedule
from mergepoint_testkit.cache_model.shrink import shrink
from mergepoint_testkit.cache_model.switches import SPARE, SWITCHES, Switch

COMMON_SEED_MAX = 100
SEEDED = [one for one in SWITCHES if one.seed is not None]
COMMON = [one for one in SEEDED if (one.seed or 0) <= COMMON_SEED_MAX]
RARE = [one for one in SEEDED if one not in COMMON]


def first_violation(switch: Switch, seeds: range) -> int | None:
    """Return the first seed whose schedule breaks a promise without the rule."""
    for outcome in explore(seeds, PROFILES[switch.profile], frozenset({switch.name})):
        if outcome.violations:
            return outcome.seed
    return None


@pytest.mark.parametrize("switch", COMMON, ids=lambda one: one.name)
def test_without_the_rule_a_promise_is_broken_within_its_budget(switch: Switch) -> None:
    found = first_violation(switch, range(switch.budget))

    assert found is not None, f"{switch.budget} schedules did not need: {switch.says}"


@pytest.mark.parametrize("switch", RARE, ids=lambda one: one.name)
def test_without_a_rule_that_is_rarely_needed_its_schedule_breaks(switch: Switch) -> None:
    assert switch.seed is not None
    found = first_violation(switch, range(switch.seed, switch.seed + 1))

    assert found == switch.seed, (
        f"the model changed: search with --without {switch.name} --profile {switch.profile}"
    )


@pytest.mark.parametrize("switch", SEEDED, ids=lambda one: one.name)
def test_the_schedule_that_breaks_without_a_rule_is_well_with_it(switch: Switch) -> None:
    assert switch.seed is not None
    profile = PROFILES[switch.profile]

    assert not run(schedule(switch.seed, profile), profile, frozenset()).violations


@pytest.mark.parametrize("rule", known.KNOWN)
def test_a_schedule_by_hand_breaks_without_its_rule_and_not_with_it(rule: str) -> None:
    steps = known.KNOWN[rule]

    assert not run(steps, known.PROFILE, frozenset()).violations
    assert run(steps, known.PROFILE, frozenset({rule})).promises == {"bounded"}


def test_every_rule_has_a_schedule_that_needs_it() -> None:
    assert {one.name for one in SWITCHES} == {one.name for one in SEEDED} | set(known.KNOWN)


@pytest.mark.soak
@pytest.mark.parametrize("switch", SEEDED, ids=lambda one: one.name)
def test_the_search_from_the_first_seed_ends_where_it_always_did(switch: Switch) -> None:
    assert first_violation(switch, range(switch.budget)) == switch.seed


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_rules_that_are_said_to_be_spare_are_needed_by_no_schedule(profile: str) -> None:
    off = frozenset(one.name for one in SPARE)
    broken = [one for one in explore(range(5000), PROFILES[profile], off) if one.violations]

    assert not broken, f"{broken[0].seed}: {broken[0].violations[0].text}"


def test_a_shrunk_schedule_is_short_and_breaks_the_same_promise() -> None:
    profile, off = PROFILES["normal"], frozenset({"I11"})
    broken = next(one for one in explore(range(50), profile, off) if one.violations)
    promise = broken.violations[0].promise
    steps = schedule(broken.seed, profile)

    shorter = shrink(steps, profile, off, promise)

    assert len(shorter) < 60 < len(steps)
    assert promise in run(shorter, profile, off).promises
    for at in range(len(shorter)):
        less = shorter[:at] + shorter[at + 1 :]
        assert promise not in run(less, profile, off).promises, "a step could still be left out"
