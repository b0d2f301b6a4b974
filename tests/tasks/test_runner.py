"""What a runner promises, with real processes on a real hub."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mergepoint.tasks import Backoff
from mergepoint.tasks.errors import TaskFailed
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.sending import send
from mergepoint.tasks.spec import Spec
from mergepoint.tasks.states import TaskState
from tests.tasks.askers import Asker
from tests.tasks.sites import PATIENCE_S, TaskSite, until


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

    spec = Spec(
        id=new_id(home.clock.unix_s()), name="add", queue="test", payload=b"\xff\x00 no json"
    )
    home.wait(lambda: send(home, [spec]))

    assert "as it was told to" in asker.ended(bad).error
    record = asker.ended(asker.tasks.handle(spec.id))
    assert record.state is TaskState.DEAD
    assert "undecodable" in record.error
    assert record.attempt == 1


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

    record = asker.ended(handle)
    assert (record.state, record.error) == (TaskState.CANCELLED, "not wanted any more")


def test_progress_is_seen_while_it_runs(site: TaskSite, asker: Asker) -> None:
    site.runner()
    handle = asker.ask("counted")
    until(lambda: site.lines("counted"), "it has counted")
    progress = until(lambda: (p := handle.record().progress).done == 5 and p, "five of five")

    assert (progress.total, progress.note) == (5, "counting")
    handle.cancel()


def test_a_page_can_follow_the_progress_of_a_task_until_its_end(
    site: TaskSite, asker: Asker
) -> None:
    site.runner()
    handle = asker.tasks.handle(new_id(site.home.clock.unix_s()))
    with site.home.bus.subscribe(handle.progress_topic) as heard:
        handle = asker.ask("thousand", known_as=handle.id)
        values = []
        while not values or "ended" not in values[-1]:
            event = heard.receive(PATIENCE_S)
            assert event is not None
            values.append(event.value)
    told = [value["done"] for value in values]

    assert values[-1] == {
        "task": handle.id, "name": "thousand", "done": 1000.0, "total": 1000.0, "note": "",
        "ended": "completed",
    }  # fmt: skip
    assert told == sorted(told)
    assert len(told) < 500  # nobody sees a thousand of them
    assert handle.record().progress.done == 1000


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
    old = site.runner(module="tests.tasks.old_jobs", queues=["test"])
    handle = asker.ask("add", 2, 3)
    until(lambda: handle.record().state is TaskState.PARKED, "it is parked")
    old.stop()
    site.runner()

    assert handle.result(wait_s=PATIENCE_S) == 5
