"""What the plan answers in each situation, one row per promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mergepoint.core.endpoints import Failure, SlotGroup
from mergepoint.supervisor import pool as pools
from mergepoint.supervisor.contract import AppSpec
from mergepoint.supervisor.plan import Drain, Kill, Start, Stop, decide, performed, wake_at_s
from mergepoint.supervisor.pool import CANARY_SLOT, Canary, Phase, Pool, Process, Slot

SPEC = AppSpec(
    "shop", "d1", ("run",), "unix", {}, Path("/"), processes=2, drain_s=30, kill_s=5,
    backoff_s=0.5, backoff_s_max=30,
)  # fmt: skip
WHY = Failure("it broke")
NOW = 100.0


def a(
    key: int, slot: int, phase: Phase = Phase.READY, release: str = "r1", **more: object
) -> Process:
    return Process(key, slot, release, phase, NOW, **more)  # type: ignore[arg-type]


def pool(*processes: Process, count: int = 2, **more: object) -> Pool:
    settings: dict[str, object] = {
        "release": "r1", "accepted": "r1", "accepted_spec": SPEC, "proven": True,
    } | more  # fmt: skip
    return Pool("shop", SPEC, count=count, processes=processes, **settings)  # type: ignore[arg-type]


ROLLING = {"release": "r2", "proven": False}
PROVEN = {"release": "r2", "proven": True}
R2 = {"release": "r2"}
CANARY = {"release": "r2", "proven": False, "canary": Canary(0.1, 30)}
FIRST = {"accepted": None, "accepted_spec": None, "proven": False}

TABLE = {
    "an empty pool starts every slot at once": (
        pool(**FIRST), [Start(0, "r1"), Start(1, "r1")],
    ),
    "a pool as wanted is left alone": (pool(a(1, 0), a(2, 1)), []),
    "a process that is starting is waited for": (
        pool(a(1, 0), a(2, 1, Phase.STARTING)), [],
    ),
    "a lost slot is filled again": (pool(a(1, 0)), [Start(1, "r1")]),
    "a lost slot in back-off waits": (
        pool(a(1, 0), slots={1: Slot(crashes=2, retry_at_s=NOW + 1)}), [],
    ),
    "a new release starts one pilot beside the old": (
        pool(a(1, 0), a(2, 1), **ROLLING), [Start(0, "r2", pilot=True)],
    ),
    "while the pilot starts nothing else is touched": (
        pool(a(1, 0), a(2, 1), a(3, 0, Phase.STARTING, **R2), **ROLLING), [],
    ),
    "an empty slot is the best pilot": (
        pool(a(1, 0), **ROLLING), [Start(1, "r2", pilot=True)],
    ),
    "a ready pilot replaces the old and the next slot follows": (
        pool(a(1, 0), a(2, 1), a(3, 0, **R2), **PROVEN), [Drain(1), Start(1, "r2")],
    ),
    "one worker is replaced only after the new one is ready": (
        pool(a(1, 0), count=1, **ROLLING), [Start(0, "r2", pilot=True)],
    ),
    "a roll never holds more than two processes beyond the pool": (
        pool(a(1, 0), a(2, 1), a(3, 2), a(4, 0, Phase.STARTING, **R2),
             a(5, 1, Phase.STARTING, **R2), count=3, **PROVEN), [],
    ),
    "an unwanted release that is still starting is stopped": (
        pool(a(1, 0), a(2, 1), a(3, 0, Phase.STARTING, **R2)), [Stop(3)],
    ),
    "a refused release that already serves is rolled back": (
        pool(a(2, 1), a(3, 0, **R2)), [Start(0, "r1")],
    ),
    "when a slot has both the wanted one stays even if it is older": (
        pool(a(1, 0), a(2, 1), a(3, 0, **R2)), [Drain(3)],
    ),
    "a drained process is asked to end": (
        pool(a(1, 0), a(2, 1), a(3, 0, Phase.DRAINING, drained=True)), [Stop(3)],
    ),
    "a process that will not drain is asked at the deadline": (
        replace(pool(a(1, 0), a(2, 1)), processes=(
            a(1, 0), a(2, 1), replace(a(3, 0, Phase.DRAINING), since_s=NOW - 31),
        )), [Stop(3)],
    ),
    "a process that will not end is killed at its deadline": (
        replace(pool(), processes=(
            a(1, 0), a(2, 1), replace(a(3, 0, Phase.STOPPING), since_s=NOW - 5),
        )), [Kill(3)],
    ),
    "a process is killed once": (
        replace(pool(), processes=(
            a(1, 0), a(2, 1), replace(a(3, 0, Phase.STOPPING), since_s=NOW - 50, killed=True),
        )), [],
    ),
    "a process to be retired serves until its replacement does": (
        pool(a(1, 0, retire="old"), a(2, 1)), [Start(0, "r1")],
    ),
    "a process to be retired is drained when replaced": (
        pool(a(1, 0, retire="old"), a(2, 1), a(3, 0)), [Drain(1)],
    ),
    "a surplus slot is drained once all others serve": (
        pool(a(1, 0), a(2, 1), count=1), [Drain(2)],
    ),
    "a surplus slot goes on serving while another is down": (
        pool(a(2, 1), count=1, slots={0: Slot(crashes=3, retry_at_s=NOW + 9)}), [],
    ),
    "a memory-tight pool drains before it starts": (
        pool(a(1, 0), a(2, 1), tight=True, **ROLLING), [Drain(1)],
    ),
    "a memory-tight pool waits until the old one is gone": (
        pool(a(1, 0, Phase.STOPPING), a(2, 1), tight=True, **ROLLING), [],
    ),
    "a memory-tight pool starts in the free slot": (
        pool(a(2, 1), tight=True, **ROLLING), [Start(0, "r2", pilot=True)],
    ),
    "a canary starts beside a full pool": (
        pool(a(1, 0), a(2, 1), **CANARY),
        [Start(CANARY_SLOT, "r2", SlotGroup.CANARY, pilot=True)],
    ),
    "a canary under watch leaves the pool alone": (
        pool(a(1, 0), a(2, 1), a(3, CANARY_SLOT, group=SlotGroup.CANARY, **R2), **CANARY), [],
    ),
    "a slot lost beside a canary comes back with the old release": (
        pool(a(1, 0), a(3, CANARY_SLOT, group=SlotGroup.CANARY, **R2), **CANARY),
        [Start(1, "r1")],
    ),
    "a canary that was stepped back is drained at once": (
        pool(a(1, 0), a(2, 1), a(3, CANARY_SLOT, group=SlotGroup.CANARY, **R2)), [Drain(3)],
    ),
    "an ending pool drains what serves and stops what starts": (
        pool(a(1, 0), a(2, 1, Phase.STARTING), ending=True), [Drain(1), Stop(2)],
    ),
    "a full slot is never given a third process": (
        pool(a(1, 0, Phase.DRAINING), a(2, 0, Phase.STOPPING), a(3, 1)), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("promise", TABLE)
def test_the_plan_for(promise: str) -> None:
    situation, expected = TABLE[promise]
    assert decide(situation, NOW, boots_max=99) == expected


def test_starts_are_bounded_over_the_site() -> None:
    assert len(decide(pool(count=9, **FIRST), NOW, boots_max=4)) == 4


def test_back_off_doubles_to_its_bound() -> None:
    delays = [pools.delay_s(SPEC, n) for n in range(1, 10)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_first_crash_of_a_served_process_is_repaired_at_once() -> None:
    served = pool(replace(a(1, 0), ready_at_s=NOW - 60), a(2, 1))
    after = pools.exited(served, 1, NOW, WHY)
    assert decide(after, NOW, 9) == [Start(0, "r1")]
    assert after.failure is None


def test_crashes_in_a_row_wait_longer_each_time_and_then_show_the_reason() -> None:
    now, waits, state = NOW, [], pool(a(1, 0), a(2, 1))
    for key in range(10, 15):
        state = replace(state, processes=(Process(key, 0, "r1", Phase.READY, now, ready_at_s=now),))
        state = pools.exited(state, key, now, WHY)
        waits.append(state.slot(0).retry_at_s - now)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert state.failure == WHY


def test_a_pilot_that_fails_is_refused_and_the_old_release_is_wanted_again() -> None:
    state = pool(a(1, 0), a(2, 1), a(3, 0, Phase.STARTING, "r2"), **ROLLING)
    state = pools.exited(state, 3, NOW, WHY)
    assert (state.release, state.refused) == ("r1", WHY)
    assert decide(state, NOW, 9) == []


def test_a_release_that_fails_again_and_again_after_its_pilot_is_rolled_back() -> None:
    state = pool(a(2, 1), a(3, 0, **R2), **PROVEN)
    for key in (4, 5, 6):
        state = replace(state, processes=(*state.processes, a(key, 1, Phase.STARTING, "r2")))
        state = pools.exited(state, key, NOW, WHY)
    assert (state.release, state.refused) == ("r1", WHY)


def test_a_first_start_that_fails_is_tried_again_and_says_why() -> None:
    state = pools.exited(pool(a(1, 0, Phase.STARTING), count=1, **FIRST), 1, NOW, WHY)
    assert (state.failure, state.refused) == (WHY, None)
    assert decide(state, NOW, 9) == []
    assert wake_at_s(state, NOW) == NOW + 0.5
    assert decide(state, NOW + 0.5, 9) == [Start(0, "r1")]


def test_an_unready_process_counts_once_and_is_stopped() -> None:
    state = pools.unready(pool(a(1, 0, Phase.STARTING), count=1, **FIRST), 1, NOW, WHY)
    assert Stop(1) in decide(state, NOW, 9)
    state = pools.exited(performed(state, Stop(1), NOW), 1, NOW, WHY)
    assert state.slot(0).crashes == 1


def test_a_release_is_accepted_only_when_it_fills_every_slot() -> None:
    state = pool(a(1, 0), a(2, 1), a(3, 0, Phase.STARTING, "r2"), **ROLLING)
    state = pools.ready(state, 3, NOW)
    assert (state.proven, state.accepted) == (True, "r1")
    state = replace(state, processes=(*state.processes, a(4, 1, Phase.STARTING, "r2")))
    assert pools.ready(state, 4, NOW).accepted == "r2"


def test_events_out_of_turn_change_nothing() -> None:
    state = pool(a(1, 0, Phase.DRAINING), a(2, 1))
    assert pools.ready(state, 1, NOW) == state
    assert pools.ready(state, 77, NOW) == state
    assert pools.exited(state, 77, NOW, WHY) == state
    assert performed(state, Drain(1), NOW) == state


def test_a_canary_that_would_have_to_be_replaced_takes_its_release_back() -> None:
    canary = a(3, CANARY_SLOT, group=SlotGroup.CANARY, **R2)
    after = pools.retired(pool(a(1, 0), a(2, 1), canary, **CANARY), 3, "GET /a took too long")

    assert (after.release, after.canary) == ("r1", None)
    assert after.refused is not None
    assert after.refused.reason == "canary: GET /a took too long"
    assert Drain(3) in decide(after, NOW, 9)
