"""What runs beside the apps has its turn: the hub first and last, task workers with their app.

Place:  make test
Rule:   pure; pools are made by hand.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mergepoint.core.endpoints import Failure
from mergepoint.supervisor.contract import AppSpec, Role
from mergepoint.supervisor.pool import Phase, Pool, Process
from mergepoint.supervisor.services import meant, shown, to_end, together, waits_for_hub


def pool(name: str, role: Role, of: str = "", *, alive: bool = True) -> Pool:
    spec = AppSpec(name, "d", ("x",), "none", {}, Path("/"), role=role, of=of)
    processes = (Process(1, 0, "r", Phase.READY, 0.0),) if alive else ()
    return Pool(name, spec, "r", 1, accepted="r", accepted_spec=spec, processes=processes)


def site() -> dict[str, Pool]:
    pools = [
        pool("shop", Role.APP),
        pool("shop.tasks", Role.TASKS, of="shop"),
        pool("@gateway", Role.GATEWAY),
        pool("@hub", Role.HUB),
    ]
    return {one.name: one for one in pools}


def test_nothing_starts_before_the_hub_was_ready_once() -> None:
    pools = site()
    pools["@hub"] = replace(pools["@hub"], accepted=None, accepted_spec=None)

    assert [name for name in pools if waits_for_hub(pools, name)] == [
        "shop", "shop.tasks", "@gateway",
    ]  # fmt: skip


def test_a_hub_that_cannot_start_keeps_no_app_from_starting() -> None:
    pools = site()
    pools["@hub"] = replace(pools["@hub"], accepted=None, failure=Failure("no disk"))

    assert not any(waits_for_hub(pools, name) for name in pools)


def test_a_hub_that_comes_back_holds_nobody_up() -> None:
    pools = site()
    pools["@hub"] = replace(pools["@hub"], processes=())

    assert not any(waits_for_hub(pools, name) for name in pools)


def test_a_site_without_a_hub_waits_for_none() -> None:
    assert not waits_for_hub({"shop": pool("shop", Role.APP)}, "shop")


def test_the_hub_ends_after_everything_that_could_still_need_it() -> None:
    pools, turns = site(), []
    while names := to_end(pools):
        turns.append(names)
        for name in names:
            pools[name] = replace(pools[name], ending=True)
        assert to_end(pools) == []  # while they end, nobody else's turn comes
        for name in names:
            pools[name] = replace(pools[name], processes=())

    assert turns == [["shop"], ["shop.tasks", "@gateway"], ["@hub"]]


def test_a_stop_at_once_ends_all() -> None:
    assert to_end(site(), now=True) == list(site())


def test_an_app_is_rolled_with_its_task_workers() -> None:
    assert together(site(), ["shop"]) == ["shop", "shop.tasks"]
    assert together(site(), ["shop.tasks"]) == ["shop.tasks"]


def test_people_name_services_without_their_mark() -> None:
    assert meant(site(), "hub") == "@hub"
    assert meant({"hub": 1, "@hub": 2}, "hub") == "hub"
    assert shown("@hub") == "hub"
