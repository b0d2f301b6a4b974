"""What the ledger promises about one task, with a clock that is moved."""

from __future__ import annotations

import pytest

from mergepoint.tasks.contract import Ending, Progress
from mergepoint.tasks.spec import PENDING_S, SILENT_S, Backoff, Options
from mergepoint.tasks.states import TaskState
from tests.tasks.ledgers import Desk, Tell


def test_a_task_that_completes_keeps_its_result_and_is_forgotten_when_its_time_is_over(
    tell: Tell,
) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec(options=Options(keep_result_s=60)))
        await desk.take()
        await desk.end(task, Ending.COMPLETED, result=b"42", result_type="application/json")
        record = await desk.ledger.record(task)
        assert record is not None
        assert (record.state, record.result) == (TaskState.COMPLETED, b"42")

        desk.clock.at += 61
        await desk.due()

        assert await desk.state(task) == "forgotten"

    tell(story)


def test_recording_one_id_twice_changes_nothing(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        spec = desk.spec()
        await desk.add(spec)
        again = await desk.ledger.enqueue([spec])

        assert again.placed[0].duplicate
        assert again.releases == ()

    tell(story)


def test_a_failed_task_comes_back_later_and_later_and_is_dead_after_its_last_attempt(
    tell: Tell,
) -> None:
    async def story(desk: Desk) -> None:
        options = Options(retries=2, backoff=Backoff(first_s=10, factor=3, jitter=0))
        (task,) = await desk.add(desk.spec(options=options))
        for pause_s in (10, 30):
            await desk.take()
            await desk.end(task, Ending.FAILED, error="boom")
            assert await desk.state(task) == "retryable"
            desk.clock.at += pause_s - 1
            await desk.due()
            assert desk.queue == []
            desk.clock.at += 1
            await desk.due()
        await desk.take()
        await desk.end(task, Ending.FAILED, error="the last boom")

        record = await desk.ledger.record(task)
        assert record is not None
        assert (record.state, record.error, record.attempt) == (TaskState.DEAD, "the last boom", 3)

    tell(story)


@pytest.mark.parametrize("ending", [Ending.SNOOZED, Ending.RETURNED])
def test_a_snooze_and_a_return_count_as_no_attempt(ending: Ending, tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec(options=Options(retries=0)))
        for _ in range(20):
            record = await desk.take()
            assert record is not None
            assert record.attempt == 1
            await desk.end(task, ending, delay_s=5)
            desk.clock.at += 6
            await desk.due()
        await desk.take()
        await desk.end(task, Ending.FAILED)

        assert await desk.state(task) == "dead"

    tell(story)


def test_whoever_lost_a_task_cannot_complete_it(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        message = desk.queue[0]
        await desk.begin(message, "first")
        second = await desk.begin(message, "second", "w2")
        assert second is not None
        assert second.crashes == 1

        assert await desk.end(task, Ending.COMPLETED, token="first") is False
        assert (await desk.ledger.touch({task: "first"})).lost == (task,)
        assert await desk.ledger.progress(task, "first", Progress(done=1)) is False
        assert await desk.end(task, Ending.COMPLETED, token="second") is True

    tell(story)


def test_a_message_of_an_older_release_starts_nothing(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        old = desk.queue[0]
        await desk.take()
        await desk.end(task, Ending.RETURNED)

        assert await desk.begin(old, "late") is None
        assert await desk.take("t2") is not None
        assert await desk.begin(old, "later still") is None

    tell(story)


def test_a_task_that_kills_its_process_is_dead_after_five_deaths_and_says_poison(
    tell: Tell,
) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        message, starts = desk.queue[0], 0
        for n in range(10):
            starts += await desk.begin(message, f"t{n}") is not None

        record = await desk.ledger.record(task)
        assert record is not None
        assert (starts, record.state) == (5, TaskState.DEAD)
        assert "poison" in record.error

    tell(story)


def test_what_was_recorded_but_never_put_is_put_again_and_the_first_message_is_stale(
    tell: Tell,
) -> None:
    async def story(desk: Desk) -> None:
        made = await desk.ledger.enqueue([desk.spec()])
        (lost,) = made.releases
        desk.clock.at += PENDING_S
        await desk.due()
        (found,) = desk.queue

        assert found.generation == lost.generation + 1
        assert await desk.begin(lost, "t1") is None
        assert await desk.take("t2") is not None

    tell(story)


def test_a_running_task_that_nobody_speaks_for_is_released(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (quiet, spoken) = await desk.add(desk.spec(), desk.spec())
        await desk.take("t1")
        await desk.take("t2")
        desk.clock.at += SILENT_S - 1
        await desk.ledger.touch({spoken: "t2"})
        desk.clock.at += 1
        await desk.due()

        assert await desk.state(quiet) == "queued"
        assert await desk.state(spoken) == "running"

    tell(story)
