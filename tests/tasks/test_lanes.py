"""Jobs that wait in a runner for a thread: how many, how long, and what becomes of them."""

from __future__ import annotations

import asyncio

from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.capacity import Capacity
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.lanes import AHEAD_MAX, KEPT_S, SMOOTHING, Lane, Pace
from mergepoint.tasks.spec import Spec
from mergepoint.tasks.states import TaskState

from .askers import Asker
from .sites import PATIENCE_S, TaskSite, until

MANY = 20 * SMOOTHING


def _job(number: int) -> Job:
    spec = Spec(id=f"task{number}", name="mail", queue="mail")
    return Job((TaskRecord(spec=spec, state=TaskState.RUNNING, token=f"t{number}"),), ((),))


def _lane(threads: int = 2) -> Lane:
    capacity = Capacity(
        Config(modules=("jobs",), threads=threads), {"mail": {"queue": "mail", "runs_in": "thread"}}
    )
    return Lane(capacity.lanes[0], capacity)


def _quick(pace: Pace) -> None:
    for _ in range(MANY):
        pace.ended(0.0001)


def test_nothing_is_taken_ahead_before_jobs_were_seen_to_be_quick() -> None:
    pace = Pace()
    assert pace.ahead(4) == 0
    _quick(pace)
    assert pace.ahead(4) == AHEAD_MAX
    for _ in range(MANY):
        pace.ended(0.1)
    assert pace.ahead(4) == 0


def test_only_a_queue_that_gives_all_that_is_asked_for_is_taken_ahead() -> None:
    async def rooms() -> list[int]:
        lane = _lane(threads=2)
        _quick(lane.pace)
        found = []
        for count, room in ((0, 2), (2, 2), (1, 2)):
            lane.taken(count, room)
            found.append(await lane.room())
        return found

    assert asyncio.run(rooms()) == [2, 2 + AHEAD_MAX, 2]


def test_jobs_begin_in_their_order_as_slots_are_freed() -> None:
    lane = _lane(threads=2)
    for number in range(4):
        lane.add(_job(number), 0.0)
    first, second = lane.begin(), lane.begin()
    assert first is not None
    assert second is not None
    assert lane.begin() is None
    second[1]()
    third = lane.begin()
    assert third is not None
    assert [job.records[0].id for job, _ in (first, second, third)] == ["task0", "task1", "task2"]


def test_what_waited_too_long_is_handed_back_and_nothing_is_taken_ahead_after_it() -> None:
    lane = _lane(threads=1)
    _quick(lane.pace)
    lane.taken(3, 3)
    lane.add(_job(0), 0.0)
    assert lane.begin() is not None
    lane.add(_job(1), 1.0)
    lane.add(_job(2), 1.0 + KEPT_S)
    assert [job.records[0].id for job in lane.late(1.0 + KEPT_S)] == ["task1"]
    assert [job.records[0].id for job in lane.empty()] == ["task2"]
    assert lane.pace.ahead(100) <= 2
    assert lane.first_s is None


def test_quick_jobs_taken_ahead_go_to_another_runner_when_slow_ones_stand_before_them(
    site: TaskSite, asker: Asker
) -> None:
    """No attempt and no crash is counted against them, and each runs once."""
    first = site.runner(threads=1)
    quick = [asker.ask("add", number, 0) for number in range(60)]
    assert [handle.result(wait_s=PATIENCE_S) for handle in quick] == list(range(60))
    block = asker.ask("once_killed", "blocked")
    until(lambda: site.lines("blocked"), "it runs")
    waiting = [asker.ask("add", number, 0) for number in range(20)]
    second = site.runner(threads=4)
    for handle in waiting:
        handle.result(wait_s=PATIENCE_S)
    records = [handle.record() for handle in waiting]
    assert {(record.attempt, record.crashes) for record in records} == {(1, 0)}
    assert block.record().state is TaskState.RUNNING
    assert first.process.poll() is None
    assert second.process.poll() is None


def test_a_runner_that_stops_gives_back_what_it_took_ahead(site: TaskSite, asker: Asker) -> None:
    first = site.runner(threads=1)
    handles = [asker.ask("add", number, 0) for number in range(300)]
    until(lambda: len(first.lines("completed")) > 50, "some are done")
    assert first.stop() == 0
    site.runner(threads=4)
    for handle in handles:
        handle.result(wait_s=PATIENCE_S)
    records = [handle.record() for handle in handles]
    assert {(record.attempt, record.crashes) for record in records} == {(1, 0)}
