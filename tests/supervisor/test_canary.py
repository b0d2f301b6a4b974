"""What counts for and against a canary."""

from __future__ import annotations

from pathlib import Path

from mergepoint.core.endpoints import SlotGroup
from mergepoint.supervisor.canary import Watched, tally
from mergepoint.supervisor.contract import AppSpec
from mergepoint.supervisor.judge import Tally
from mergepoint.supervisor.pool import CANARY_SLOT, Phase, Pool, Process

SPEC = AppSpec("shop", "d", ("run",), "unix", {}, Path("/"))


def pool(*addresses: str) -> Pool:
    stable = tuple(
        Process(n, n, "r1", Phase.READY, 0.0, address=address)
        for n, address in enumerate(addresses)
    )
    canary = Process(9, CANARY_SLOT, "r2", Phase.READY, 0.0, SlotGroup.CANARY, address="new")
    return Pool("shop", SPEC, "r2", 1, processes=(*stable, canary))


def counters(**requests: tuple[int, int]) -> dict[str, dict[str, int]]:
    return {at: {"requests": asked, "errors": bad} for at, (asked, bad) in requests.items()}


def test_counts_begin_when_the_canary_goes_out_and_its_own_count_from_its_first_request() -> None:
    watched = Watched(9, 0.0)
    watched.begin(pool("old"), counters(old=(100, 7), new=(2, 1)))
    watched.count(pool("old"), counters(old=(110, 8), new=(5, 1)))

    assert watched.total(SlotGroup.STABLE) == Tally(10, 1)
    assert watched.total(SlotGroup.CANARY) == Tally(5, 1)


def test_a_process_that_was_replaced_keeps_its_counts() -> None:
    watched = Watched(9, 0.0)
    watched.begin(pool("old"), counters(old=(100, 0)))
    watched.count(pool("old"), counters(old=(130, 3)))
    watched.count(pool("fresh"), counters(fresh=(10, 1)))

    assert watched.total(SlotGroup.STABLE) == Tally(40, 4)


def test_a_request_under_way_proves_nothing() -> None:
    assert tally({"requests": 3, "in_flight": 3}) == Tally(0, 0)
    assert tally({"requests": 5, "in_flight": 1, "errors": 1, "failures": 1}) == Tally(4, 2)
