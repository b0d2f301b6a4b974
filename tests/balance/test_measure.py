"""CPU and waiting are told apart, and what they say is said with its figure."""

from __future__ import annotations

import asyncio
import time

import pytest
from mergepoint_testkit.work import spin

from mergepoint.balance.advice import Figures, Sizing, advise, figures, sizing
from mergepoint.balance.measure import NAMES_MAX, OTHER, Meter, Steps, Watch


def test_computing_is_cpu_and_sleeping_is_not() -> None:
    meter = Meter()
    watch = Watch()
    spin(0.05)
    watch.stop(meter, "busy")
    watch = Watch()
    time.sleep(0.05)
    watch.stop(meter, "idle")
    told = {one["name"]: one for one in meter.told()}
    assert told["busy"]["cpu_s"] > 10 * told["idle"]["cpu_s"]
    assert told["idle"]["wall_s"] >= 0.05


def test_steps_count_what_a_coroutine_computes_between_its_waits() -> None:
    async def work() -> str:
        spin(0.03)
        await asyncio.sleep(0.05)
        spin(0.02)
        return "done"

    async def run() -> Steps:
        steps = Steps(work())
        assert await steps == "done"
        return steps

    steps = asyncio.run(run())
    assert steps.wall_s >= 0.1
    assert 0.01 < steps.cpu_s < 0.09
    assert steps.step_s_max >= 0.03


def test_errors_and_cancelling_pass_through_steps() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    async def run() -> None:
        async def waited() -> None:
            await Steps(work())

        task = asyncio.create_task(waited())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(KeyError):
            await Steps(fail())

    asyncio.run(run())
    assert ended == ["ended"]


def test_names_are_bounded() -> None:
    meter = Meter()
    for number in range(NAMES_MAX + 50):
        meter.add(f"/{number}", "thread", 0.0, 0.1)
    told = {one["name"]: one["calls"] for one in meter.told()}
    assert len(told) == NAMES_MAX + 1
    assert told[OTHER] == 50


def test_figures_of_several_processes_are_added() -> None:
    meters = [Meter(), Meter()]
    for meter in meters:
        meter.add("/a", "loop", 0.1, 1.0, 0.2)
    [found] = figures(one for meter in meters for one in meter.told())
    assert (found.calls, found.cpu_s, found.wall_s, found.step_s_max) == (2, 0.2, 2.0, 0.2)


@pytest.mark.parametrize(
    ("found", "change"),
    [
        (Figures("/report", "loop", 50, 20.0, 25.0, step_s_max=0.4), "offload"),
        (Figures("/pdf", "thread", 50, 25.0, 26.0), "make it a task"),
    ],
)
def test_what_hurts_others_is_named_with_its_remedy(found: Figures, change: str) -> None:
    [advice] = advise([found])
    assert advice.name == found.name
    assert change in advice.change
    assert "ms" in advice.why


@pytest.mark.parametrize(
    "found",
    [
        Figures("/quick", "loop", 1000, 1.0, 30.0, step_s_max=0.002),
        Figures("/rare", "loop", 3, 20.0, 25.0, step_s_max=9.0),
    ],
)
def test_what_is_well_or_rare_is_left_alone(found: Figures) -> None:
    assert advise([found]) == []


def test_threads_follow_waiting_and_processes_follow_cpus() -> None:
    waits = [Figures("/api", "thread", 1000, 10.0, 100.0)]
    computes = [Figures("/calc", "thread", 1000, 95.0, 100.0)]
    assert sizing(waits, cpus=8) == Sizing(threads=10, processes=8)
    assert sizing(computes, cpus=8) == Sizing(threads=2, processes=8)
    assert sizing(waits, cpus=8, busy_cpus=0.5) == Sizing(threads=10, processes=1)
    assert [advice.change for advice in advise(waits, threads=4)] == ["threads = 10"]
    assert ["more processes" in advice.change for advice in advise(computes, threads=16)] == [True]
