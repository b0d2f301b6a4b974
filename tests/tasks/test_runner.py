"""What a runner promises, with real processes on a real hub."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from mergepoint.tasks import Tasks
from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.errors import TaskFailed
from mergepoint.tasks.spec import Options, Spec
from mergepoint.tasks.states import TaskState
from tests.tasks.sites import PATIENCE_S, TaskSite, until


class Asker:
    """Asks by name, as a process that does not import the tasks' module."""

    def __init__(self, site: TaskSite) -> None:
        self.site = site
        self.tasks = Tasks(site.home, app="test")

    def ask(
        self, task: str, *args: Any, queue: str = "default", key: str = "", **options: Any
    ) -> Any:
        from mergepoint.tasks.arguments import encode
        from mergepoint.tasks.identifiers import new_id
        from mergepoint.tasks.sending import send

        home = self.site.home
        payload, kind = encode(task, home.codec, args, {})
        spec = Spec(
            id=new_id(home.clock.unix_s()),
            name=task,
            queue=queue,
            key=key,
            payload=payload,
            content_type=kind,
            options=Options(**{"timeout_s": 60, **options}),
            context={"mprequestid": "r-1"},
        )
        home.wait(lambda: send(home, [spec]))
        return self.tasks.handle(spec.id)

    def ended(self, handle: Any) -> TaskRecord:
        def look() -> Any:
            record = handle.record()
            return record if record.state.value in ("completed", "dead", "cancelled") else None

        return until(look, f"{handle.id} ends; it is {handle.record()}")


@pytest.fixture
def asker(site: TaskSite) -> Asker:
    return Asker(site)


def test_blocking_and_async_handlers_give_their_results_and_know_their_request(
    site: TaskSite, asker: Asker
) -> None:
    site.runner()
    one, two = asker.ask("add", 1, 2), asker.ask("aadd", 3, 4, queue="loop")
    who, lazy, no = asker.ask("whoami"), asker.ask("snooze_once", "s"), asker.ask("pointless")

    assert one.result(wait_s=PATIENCE_S) == 3
    assert two.result(wait_s=PATIENCE_S) == 7
    assert who.result(wait_s=PATIENCE_S) == {"same": True, "request": "r-1"}
    assert lazy.result(wait_s=PATIENCE_S) == "awake"
    with pytest.raises(TaskFailed, match="nobody wants it"):
        no.result(wait_s=PATIENCE_S)


def test_a_failed_task_says_why_and_an_unreadable_one_is_dead_at_once(
    site: TaskSite, asker: Asker
) -> None:
    site.runner()
    bad = asker.ask("fail", retries=0)
    home = site.home
    from mergepoint.tasks.identifiers import new_id
    from mergepoint.tasks.sending import send

    spec = Spec(id=new_id(home.clock.unix_s()), name="add", payload=b"\xff\x00 no json")
    home.wait(lambda: send(home, [spec]))

    assert "as it was told to" in asker.ended(bad).error
    record = asker.ended(asker.tasks.handle(spec.id))
    assert record.state is TaskState.DEAD
    assert "undecodable" in record.error
    assert record.attempt == 1


def test_a_task_whose_runner_is_killed_runs_again_elsewhere_within_a_second(
    site: TaskSite, asker: Asker
) -> None:
    first = site.runner()
    handle = asker.ask("once_killed", "killed")
    until(lambda: site.lines("killed"), "it runs")
    site.runner()
    begun = time.monotonic()
    first.kill()
    until(lambda: len(site.lines("killed")) == 2, "it runs again")
    took_s = time.monotonic() - begun

    assert handle.result(wait_s=PATIENCE_S) == "killed"
    # The lease has 3 s; half of that, on a machine that may be busy, is still no lease.
    assert took_s < 1.5
    assert handle.record().crashes == 1
    pid = int(site.lines("killed")[0].split()[0])
    until(lambda: not Path(f"/proc/{pid}").exists(), "the killed runner's child is gone, too")


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
    handle = asker.ask("gil", 8)  # the lease has 3 s
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


@pytest.mark.parametrize(("task", "queue"), [("forever", "default"), ("patient", "loop")])
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
        until(lambda: not Path(f"/proc/{pid}").exists(), "its process is gone")
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


def test_term_lets_tasks_end_in_time_and_gives_back_the_rest_without_an_attempt(
    site: TaskSite, asker: Asker
) -> None:
    runner = site.runner(drain_s=2.0)
    quick, long = asker.ask("slow", "quick", 0.5), asker.ask("slow", "long", 600)
    until(lambda: site.lines("quick") and site.lines("long"), "both run")
    assert runner.stop() == 0

    assert quick.record().state is TaskState.COMPLETED
    record = long.record()
    assert (record.state, record.attempt, record.crashes) == (TaskState.QUEUED, 0, 0)
    pid = int(site.lines("long")[0])
    until(lambda: not Path(f"/proc/{pid}").exists(), "no process is left")


def test_cancelling_tells_a_running_handler(site: TaskSite, asker: Asker) -> None:
    site.runner()
    handle = asker.ask("polite")
    until(lambda: site.lines("polite"), "it runs")
    handle.cancel("not wanted any more")

    assert asker.ended(handle).state is TaskState.CANCELLED


def test_progress_is_seen_while_it_runs(site: TaskSite, asker: Asker) -> None:
    site.runner()
    handle = asker.ask("counted")
    until(lambda: site.lines("counted"), "it has counted")
    progress = until(lambda: (p := handle.record().progress).done == 5 and p, "five of five")

    assert (progress.total, progress.note) == (5, "counting")
    handle.cancel()


def test_an_effect_and_its_mark_in_one_commit_happen_once_whatever_dies(
    site: TaskSite, asker: Asker
) -> None:
    site.runner()
    path = str(site.directory / "effects.db")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE effects (task TEXT)")
    handles = [asker.ask("effect", path, crashes_max=50) for _ in range(3)]
    for handle in handles:
        assert asker.ended(handle).state is TaskState.COMPLETED

    with sqlite3.connect(path) as database:
        rows = [row[0] for row in database.execute("SELECT task FROM effects")]
    assert sorted(rows) == sorted(handle.id for handle in handles)
    assert len(site.lines("effect")) > 3


def test_an_effect_that_was_marked_is_not_repeated_by_a_retry(site: TaskSite, asker: Asker) -> None:
    from mergepoint.tasks import Backoff

    site.runner()
    handle = asker.ask("marked", backoff=Backoff(first_s=0.05))

    assert handle.result(wait_s=PATIENCE_S) == "sent"
    assert site.lines("mailed") == ["x"]


def test_a_batch_handler_is_given_several_and_answers_for_each(
    site: TaskSite, asker: Asker
) -> None:
    handles = [asker.ask("batched", n, queue="batch", batch=10) for n in range(20)]
    site.runner(threads=20)

    assert [h.result(wait_s=PATIENCE_S) for h in handles] == [n * 10 for n in range(20)]
    assert max(int(size) for size in site.lines("batched")) > 1


def test_keys_keep_their_order_over_two_runners_that_are_killed(
    site: TaskSite, asker: Asker
) -> None:
    first = site.runner(threads=4)
    site.runner(threads=4)
    handles = [
        asker.ask("keyed", f"k{n % 4}", n, queue="keyed", key=f"k{n % 4}", crashes_max=50)
        for n in range(80)
    ]
    until(lambda: len(site.lines("key-k0")) > 6, "they run")
    first.kill()
    for handle in handles:
        assert asker.ended(handle).state is TaskState.COMPLETED

    for key in range(4):
        started = [int(line.split()[1]) for line in site.lines(f"key-k{key}") if "start" in line]
        assert started == sorted(started)
        assert sorted(set(started)) == list(range(key, 80, 4))


def test_a_name_nobody_knows_waits_for_a_runner_that_does(site: TaskSite, asker: Asker) -> None:
    old = site.runner(module="tests.tasks.old_jobs", queues=["default"])
    handle = asker.ask("add", 2, 3)
    until(lambda: handle.record().state is TaskState.PARKED, "it is parked")
    old.stop()
    site.runner()

    assert handle.result(wait_s=PATIENCE_S) == 5
