"""What an app's own tests see of its tasks: everything but processes, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mergepoint.bus.errors import BusLost
from mergepoint.tasks import Backoff, Context, Snooze, Unique, chain, group
from mergepoint.tasks.errors import ArgumentsRefused, DeclarationRefused, TaskFailed
from mergepoint.tasks.states import TaskState
from mergepoint.testing.site import Testing


@pytest.fixture
def site() -> Iterator[Testing]:
    with Testing() as made:
        yield made


def test_a_declared_function_stays_a_function(site: Testing) -> None:
    @site.tasks.task
    def double(n: int) -> int:
        """Double it."""
        return 2 * n

    assert double(4) == 8
    assert double.__doc__ == "Double it."
    assert double.name.endswith("double")


def test_blocking_and_async_tasks_run_when_the_site_is_idle(site: Testing) -> None:
    @site.tasks.task
    def double(n: int) -> int:
        return 2 * n

    @site.tasks.task(queue="other")
    async def half(n: int) -> float:
        await asyncio.sleep(0)
        return n / 2

    one, two = double.enqueue(4), half.enqueue(n=4)
    site.run_until_idle()

    assert (one.result(), two.result()) == (8, 2.0)


def test_a_task_runs_at_its_time_and_not_before(site: Testing) -> None:
    seen: list[str] = []

    @site.tasks.task
    def say(what: str) -> None:
        seen.append(what)

    say.delay(60, "minute")
    say.delay(timedelta(hours=1), "hour")
    say.delay(datetime.fromtimestamp(site.clock.unix_s() + 86400, UTC), "day")
    site.run_until_idle()
    assert seen == []
    site.advance(seconds=60)
    assert seen == ["minute"]
    site.advance(hours=1)
    assert seen == ["minute", "hour"]
    site.advance(hours=24)
    assert seen == ["minute", "hour", "day"]


def test_a_time_without_a_zone_is_refused_where_it_is_asked_for(site: Testing) -> None:
    @site.tasks.task
    def say() -> None: ...

    with pytest.raises(ArgumentsRefused, match="no time zone"):
        say.delay(datetime(2027, 1, 1))


def test_arguments_that_do_not_fit_or_cannot_be_written_are_refused_by_name(site: Testing) -> None:
    @site.tasks.task(name="mail")
    def mail(to: str, copies: int = 1) -> None: ...

    with pytest.raises(ArgumentsRefused, match="missing a required argument: 'to'"):
        mail.enqueue(copies=2)
    with pytest.raises(ArgumentsRefused, match=r"mail: argument 1 \(object\)"):
        mail.enqueue(object())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retires": 3}, "knows no retires"),
        ({"retries": -1}, "retries=-1"),
        ({"priority": 10}, "0 to 9"),
        ({"rate": "fast"}, "rate='fast'"),
        ({"queue": "not a name"}, "queue="),
        ({"runs_in": "loop"}, "only async functions"),
    ],
)
def test_a_wrong_declaration_is_refused_at_import(
    site: Testing, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DeclarationRefused, match=words):
        site.tasks.task(**options)(lambda: None)


def test_a_failing_task_is_tried_again_with_growing_pauses_then_kept_as_dead(
    site: Testing,
) -> None:
    tries: list[float] = []

    @site.tasks.task(retries=2, backoff=Backoff(first_s=10, factor=6, jitter=0))
    def fail() -> None:
        tries.append(site.clock.unix_s())
        raise ValueError("no")

    handle = fail.enqueue()
    site.advance(minutes=10)

    assert [round(b - a) for a, b in itertools.pairwise(tries)] == [10, 60]
    assert [record.id for record in site.tasks.dead()] == [handle.id]
    with pytest.raises(TaskFailed, match="ValueError: no"):
        handle.result()


def test_a_dead_task_is_looked_at_edited_and_replayed(site: Testing) -> None:
    @site.tasks.task(retries=0)
    def divide(a: int, b: int) -> float:
        return a / b

    handle = divide.enqueue(8, 0)
    site.run_until_idle()
    (dead,) = site.tasks.dead()
    assert site.tasks.arguments(dead) == ([8, 0], {})

    site.tasks.replay(dead.id, 8, 2)
    site.run_until_idle()

    assert handle.result() == 4.0
    assert site.tasks.dead() == []


def test_a_dead_task_is_discarded(site: Testing) -> None:
    @site.tasks.task(retries=0)
    def fail() -> None:
        raise ValueError

    handle = fail.enqueue()
    site.run_until_idle()

    assert site.tasks.discard([handle.id]) == 1
    assert site.tasks.dead() == []


def test_a_snooze_counts_as_no_attempt(site: Testing) -> None:
    attempts: list[int] = []

    @site.tasks.task(retries=0)
    def poll(ctx: Context) -> Any:
        attempts.append(ctx.attempt)
        return Snooze(60) if len(attempts) < 5 else "ready"

    handle = poll.enqueue()
    site.advance(minutes=10)

    assert attempts == [1] * 5
    assert handle.result() == "ready"


def test_one_of_a_key_is_asked_for_once(site: Testing) -> None:
    runs: list[str] = []

    @site.tasks.task
    def nightly() -> None:
        runs.append("x")

    first = nightly.once("tonight").with_options(at=60).enqueue()
    second = nightly.once("tonight").enqueue()
    site.advance(minutes=2)

    assert (second.id, second.duplicate) == (first.id, True)
    assert runs == ["x"]


def test_unique_by_an_argument_ignores_the_others(site: Testing) -> None:
    @site.tasks.task(unique=Unique(by=("url",)))
    def fetch(url: str, depth: int) -> None: ...

    first, second = fetch.delay(9, "a", 1), fetch.delay(9, "a", 2)
    third = fetch.delay(9, "b", 1)

    assert second.id == first.id
    assert third.id != first.id


def test_a_key_named_by_an_argument_orders_its_tasks(site: Testing) -> None:
    seen: list[tuple[str, int]] = []

    @site.tasks.task(key="account", backoff=Backoff(first_s=5, jitter=0))
    def book(account: str, n: int, ctx: Context) -> None:
        if n == 0 and ctx.attempt == 1:
            raise ValueError("not yet")
        seen.append((account, n))

    for n in range(4):
        book.enqueue("alice", n)
        book.enqueue("bob", n + 1)
    site.advance(minutes=1)

    assert [n for account, n in seen if account == "alice"] == [0, 1, 2, 3]
    assert seen[0][0] == "bob"


def test_a_rate_spreads_starts(site: Testing) -> None:
    starts: list[float] = []

    @site.tasks.task(rate="2/m")
    def call() -> None:
        starts.append(site.clock.unix_s())

    for _ in range(6):
        call.enqueue()
    site.advance(minutes=5)

    assert [round(at - starts[0]) for at in starts] == [0, 0, 30, 60, 90, 120]


def test_a_chain_passes_results_and_a_group_joins_them(site: Testing) -> None:
    @site.tasks.task
    def add(a: int, b: int) -> int:
        return a + b

    @site.tasks.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    handles = chain(add.call(1, 2), add.call(10), add.call(100))
    made = group(*(add.call(n, n) for n in range(5)), join=total.call())
    site.run_until_idle()

    assert [handle.result() for handle in handles] == [3, 13, 113]
    assert made.join is not None
    assert made.join.result() == 20


def test_a_task_is_cancelled_before_it_runs(site: Testing) -> None:
    runs: list[str] = []

    @site.tasks.task
    def late() -> None:
        runs.append("x")

    handle = late.delay(60)
    assert handle.cancel("never mind") is TaskState.CANCELLED
    site.advance(minutes=2)

    assert runs == []


def test_effects_marked_once_happen_once_though_every_job_comes_twice(site: Testing) -> None:
    mails: list[str] = []

    @site.tasks.task(backoff=Backoff(first_s=1))
    def send(to: str, ctx: Context) -> None:
        with ctx.once("mail") as first:
            if first:
                mails.append(to)
        if ctx.attempt < 3:
            raise ValueError("after the mail")

    site.duplicate_all()
    for n in range(20):
        send.enqueue(f"user-{n}")
    site.advance(minutes=5)

    assert sorted(mails) == sorted(f"user-{n}" for n in range(20))


def test_a_task_runs_though_the_engine_was_lost_when_it_was_recorded(site: Testing) -> None:
    runs: list[str] = []

    @site.tasks.task
    def work() -> None:
        runs.append("x")

    site.fail_next("put", BusLost("gone"))
    work.enqueue()
    site.advance(minutes=1)

    assert runs == ["x"]


def test_tasks_enqueue_tasks_and_say_how_far_they_are(site: Testing) -> None:
    @site.tasks.task
    def child(n: int) -> int:
        return n

    @site.tasks.task
    def parent(ctx: Context) -> list[str]:
        ids = []
        for n in range(3):
            ids.append(child.enqueue(n).id)
            ctx.progress(n + 1, 3)
        return ids

    handle = parent.enqueue()
    site.run_until_idle()

    assert handle.record().progress.done == 3
    assert [site.tasks.handle(each).result() for each in handle.result()] == [0, 1, 2]


def test_a_schedule_fires_at_its_times(site: Testing) -> None:
    runs: list[datetime] = []

    @site.tasks.every(cron="15 3 * * *", timezone="Europe/Berlin")
    @site.tasks.task
    def nightly() -> None:
        runs.append(datetime.fromtimestamp(site.clock.unix_s(), UTC))

    site.advance(hours=72)

    assert [(run.hour, run.minute) for run in runs] == [(2, 15)] * 3
