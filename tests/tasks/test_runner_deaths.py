"""What becomes of tasks whose processes die, hang or grow, on a real hub."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mergepoint.tasks.states import TaskState
from tests.tasks.askers import Asker
from tests.tasks.sites import LIMITS, PATIENCE_S, TaskSite, site_in, until


def test_a_task_whose_runner_is_killed_runs_again_elsewhere_long_before_its_lease_ends(
    tmp_path: Path,
) -> None:
    with site_in(tmp_path, replace(LIMITS, lease_s=60.0)) as site:
        asker = Asker(site)
        first = site.runner()
        handle = asker.ask("once_killed", "killed")
        until(lambda: site.lines("killed"), "it runs")
        site.runner()
        begun = time.monotonic()
        first.kill()
        until(lambda: len(site.lines("killed")) == 2, "it runs again")
        again = float(site.lines("killed")[1].split()[1])

        assert handle.result(wait_s=PATIENCE_S) == "killed"
        print(f"ran again after {again - begun:.3f} s")
        assert again - begun < 20.0
        assert handle.record().crashes == 1
        pid = int(site.lines("killed")[0].split()[0])
        until(lambda: not is_running(pid), "the killed runner's child is gone, too")


def test_a_runner_that_was_paused_beyond_its_lease_cannot_complete_what_it_lost(
    site: TaskSite, asker: Asker
) -> None:
    first = site.runner()
    handle = asker.ask("once_killed", "paused")
    until(lambda: site.lines("paused"), "it runs")
    os.kill(first.pid, signal.SIGSTOP)
    site.runner()
    assert handle.result(wait_s=PATIENCE_S) == "paused"
    os.kill(first.pid, signal.SIGCONT)

    # The handler of the first run is told: it never returns by itself.
    until(lambda: first.lines("failed"), "the first run is told to stop")
    until(lambda: first.lines("result refused: the task is somebody else's"), "refused")
    assert handle.record().state is TaskState.COMPLETED
    assert len(site.lines("paused")) == 2


def test_a_live_task_keeps_its_lease_though_it_holds_the_interpreters_lock(
    site: TaskSite, asker: Asker
) -> None:
    site.runner()
    site.runner()
    handle = asker.ask("gil", 6)  # the lease has 2 s
    asker.ended(handle)

    assert handle.record().state is TaskState.COMPLETED
    assert len(site.lines("gil")) == 1


def test_a_task_that_kills_its_process_is_dead_and_its_neighbours_are_not(
    site: TaskSite, asker: Asker
) -> None:
    site.runner(threads=4)
    neighbours = [asker.ask("slow", f"n{n}", 0.3) for n in range(3)]
    poison = asker.ask("abort", crashes_max=3)
    record = asker.ended(poison)

    assert record.state is TaskState.DEAD
    assert "poison" in record.error
    assert "signal 6" in record.error
    assert len(set(site.lines("abort"))) == 3
    assert [h.result(wait_s=PATIENCE_S) for h in neighbours] == ["n0", "n1", "n2"]


@pytest.mark.parametrize(("task", "queue"), [("forever", "test"), ("patient", "loop")])
def test_a_handler_that_runs_too_long_is_stopped(
    site: TaskSite, asker: Asker, task: str, queue: str
) -> None:
    site.runner()
    place = "process" if task == "forever" else "loop"
    record = asker.ended(asker.ask(task, queue=queue, timeout_s=0.5, retries=0, runs_in=place))

    assert record.state is TaskState.DEAD
    assert "timeout_s = 0.5" in record.error
    if task == "forever":
        pid = int(site.lines("forever")[0])
        until(lambda: not is_running(pid), "its process is gone")
    else:
        assert site.lines("patient.ended") == ["x"]


def test_a_thread_that_does_not_stop_costs_its_process_and_nobody_elses_task(
    site: TaskSite, asker: Asker
) -> None:
    runner = site.runner(stop_s=0.3)
    stuck = asker.ask("stubborn", timeout_s=0.5, retries=0)
    until(lambda: site.lines("stubborn"), "it runs")
    other = asker.ask("slow", "other", 2.0)
    record = asker.ended(stuck)

    assert "did not stop when it was told" in record.error
    assert other.result(wait_s=PATIENCE_S) == "other"
    until(lambda: runner.lines("child replaced"), "the process is replaced")
    assert asker.ask("add", 1, 1).result(wait_s=PATIENCE_S) == 2


def test_a_process_that_holds_too_much_memory_is_replaced(site: TaskSite, asker: Asker) -> None:
    runner = site.runner(memory_bytes_max=150 * 1024 * 1024)
    first = asker.ask("hog", 200).result(wait_s=PATIENCE_S)
    second = asker.ask("hog", 1).result(wait_s=PATIENCE_S)

    assert first != second
    assert "bytes" in runner.lines("child replaced")[0]["why"]


def test_a_process_is_replaced_after_so_many_jobs(site: TaskSite, asker: Asker) -> None:
    site.runner(recycle_jobs=3, threads=1)
    pids = [asker.ask("hog", 1).result(wait_s=PATIENCE_S) for _ in range(6)]

    assert len(set(pids)) == 2


def test_what_a_handler_has_started_is_killed_with_it(site: TaskSite, asker: Asker) -> None:
    site.runner()
    record = asker.ended(asker.ask("starts", timeout_s=1, retries=0, runs_in="process"))

    assert record.state is TaskState.DEAD
    pid = int(site.lines("starts")[0])
    until(lambda: not is_running(pid), "the program it started is gone")


def is_running(pid: int) -> bool:
    """Tell whether a process runs; nobody may have reaped it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
