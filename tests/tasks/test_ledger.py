"""What the ledger promises about one task and its neighbours, with a clock that is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.contract import Ending, Progress
from mergepoint.tasks.errors import ImpossibleStep, NoSuchTask
from mergepoint.tasks.spec import PENDING_S, SILENT_S, Backoff, Options, Rate, Unique
from mergepoint.tasks.states import TaskState
from tests.tasks.ledgers import Desk

Story = Callable[[Desk], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def told() -> None:
        await story(Desk())

    asyncio.run(told())


def test_a_task_that_completes_keeps_its_result_and_is_forgotten_when_its_time_is_over() -> None:
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


def test_recording_one_id_twice_changes_nothing() -> None:
    async def story(desk: Desk) -> None:
        spec = desk.spec()
        await desk.add(spec)
        again = await desk.ledger.enqueue([spec])

        assert again.placed[0].duplicate
        assert again.releases == ()

    tell(story)


def test_a_failed_task_comes_back_later_and_later_and_is_dead_after_its_last_attempt() -> None:
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
def test_a_snooze_and_a_return_count_as_no_attempt(ending: Ending) -> None:
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


def test_whoever_lost_a_task_cannot_complete_it() -> None:
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


def test_a_message_of_an_older_release_starts_nothing() -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        old = desk.queue[0]
        await desk.take()
        await desk.end(task, Ending.RETURNED)

        assert await desk.begin(old, "late") is None
        assert await desk.take("t2") is not None
        assert await desk.begin(old, "later still") is None

    tell(story)


def test_a_task_that_kills_its_process_is_dead_after_five_deaths_and_says_poison() -> None:
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


def test_what_was_recorded_but_never_put_is_put_again_and_the_first_message_is_stale() -> None:
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


def test_a_running_task_that_nobody_speaks_for_is_released() -> None:
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


def test_tasks_of_one_key_start_one_at_a_time_in_the_order_they_were_accepted() -> None:
    async def story(desk: Desk) -> None:
        ids = await desk.add(*(desk.spec(key="k") for _ in range(4)))
        (free,) = await desk.add(desk.spec(key="other"))
        seen = []
        while desk.queue:
            record = await desk.take()
            assert record is not None
            if record.id == free:
                continue
            seen.append(record.id)
            running = [r.id for r in await desk.ledger.records(states=[TaskState.RUNNING])]
            assert [r for r in running if r != free] == [record.id]
            if len(seen) == 1:
                await desk.end(record.id, Ending.FAILED)
                assert [r for r in desk.queue if r.id != free] == []
                desk.clock.at += 10
                await desk.due()
            else:
                await desk.end(record.id, Ending.COMPLETED)

        assert seen == [ids[0], *ids]

    tell(story)


def test_a_delayed_task_of_a_key_holds_back_those_behind_it() -> None:
    async def story(desk: Desk) -> None:
        later = desk.spec(key="k", not_before=desk.clock.at + 100)
        await desk.add(later, desk.spec(key="k"))
        assert desk.queue == []

        desk.clock.at += 100
        await desk.due()

        assert [release.id for release in desk.queue] == [later.id]

    tell(story)


def test_a_dead_or_cancelled_task_lets_the_next_of_its_key_go() -> None:
    async def story(desk: Desk) -> None:
        first, second, third = await desk.add(*(desk.spec(key="k") for _ in range(3)))
        await desk.take()
        await desk.end(first, Ending.GIVEN_UP, error="no")
        assert [r.id for r in desk.queue] == [second]

        await desk.carry((await desk.ledger.cancel(second)).releases)

        assert await desk.take() is None
        assert [r.id for r in desk.queue] == [third]

    tell(story)


def test_one_task_of_a_unique_key_at_a_time() -> None:
    async def story(desk: Desk) -> None:
        first = desk.spec(unique_key="u")
        assert await desk.add(first, desk.spec(unique_key="u")) == [first.id, first.id]
        await desk.take()
        await desk.end(first.id, Ending.COMPLETED)
        third = desk.spec(unique_key="u")

        assert await desk.add(third) == [third.id]

    tell(story)


def test_a_unique_period_goes_on_after_the_task_is_done() -> None:
    async def story(desk: Desk) -> None:
        unique = Unique(period_s=3600)
        first = desk.spec(unique_key="u", unique=unique)
        await desk.add(first)
        await desk.take()
        await desk.end(first.id, Ending.COMPLETED)
        assert await desk.add(desk.spec(unique_key="u", unique=unique)) == [first.id]

        desk.clock.at += 3600
        third = desk.spec(unique_key="u", unique=unique)

        assert await desk.add(third) == [third.id]

    tell(story)


def test_unique_only_until_it_starts() -> None:
    async def story(desk: Desk) -> None:
        unique = Unique(states=(TaskState.PENDING, TaskState.QUEUED))
        first, second = (desk.spec(unique_key="u", unique=unique) for _ in range(2))
        await desk.add(first)
        await desk.take()

        assert await desk.add(second) == [second.id]

    tell(story)


def test_a_rate_gives_every_waiting_task_a_time_of_its_own() -> None:
    async def story(desk: Desk) -> None:
        options = Options(rate=Rate(count=2, per_s=10))
        await desk.add(*(desk.spec(options=options) for _ in range(10)))
        begun, started = desk.clock.at, []
        for _ in range(60):
            while desk.queue:
                record = await desk.take(token=str(len(started)))
                if record is not None:
                    started.append(desk.clock.at - begun)
            desk.clock.at += 1
            await desk.due()

        assert started == [0, 0, 5, 10, 15, 20, 25, 30, 35, 40]

    tell(story)


def test_an_unknown_name_is_parked_and_released_when_a_runner_knows_it() -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec("new.task"))
        await desk.take()
        await desk.end(task, Ending.PARKED, error="nobody knows new.task")
        desk.clock.at += 86400
        await desk.due()
        assert await desk.state(task) == "parked"

        await desk.carry(await desk.ledger.register(["new.task"]))
        record = await desk.take()

        assert record is not None
        assert record.attempt == 1

    tell(story)


def test_a_chain_hands_results_on_and_waits_for_a_dead_link_to_be_replayed() -> None:
    async def story(desk: Desk) -> None:
        first = desk.spec()
        second = desk.spec(after=(first.id,))
        third = desk.spec(after=(second.id,))
        await desk.add(first, second, third)
        await desk.take()
        await desk.end(first.id, Ending.GIVEN_UP, error="wrong")
        assert desk.queue == []
        assert await desk.state(second.id) == "held"

        await desk.carry(await desk.ledger.replay(first.id, b"[1]"))
        record = await desk.take()
        assert record is not None
        assert record.spec.payload == b"[1]"
        await desk.end(first.id, Ending.COMPLETED, result=b"7", result_type="application/json")

        (message,) = desk.queue
        assert message.id == second.id

    tell(story)


def test_a_join_starts_once_when_all_of_its_group_are_done_with_their_results_in_order() -> None:
    from mergepoint.tasks.contract import Start

    async def story(desk: Desk) -> None:
        members = [desk.spec(group="g") for _ in range(3)]
        join = desk.spec(after=tuple(m.id for m in members))
        await desk.add(*members, join)
        taken = [await desk.take(token=str(n)) for n in range(3)]
        for n in (2, 0, 1):
            assert desk.queue == []
            assert taken[n] is not None
            await desk.end(members[n].id, Ending.COMPLETED, token=str(n), result=b"%d" % n)
        (release,) = desk.queue
        (started,) = await desk.ledger.start([Start(message_id=release.id, token="j")])

        assert [data for data, _ in started.inputs] == [b"0", b"1", b"2"]

    tell(story)


def test_cancelling_a_link_cancels_what_waits_for_it() -> None:
    async def story(desk: Desk) -> None:
        first = desk.spec()
        second = desk.spec(after=(first.id,))
        third = desk.spec(after=(second.id,))
        await desk.add(first, second, third)
        await desk.ledger.cancel(first.id, "not wanted")

        assert [await desk.state(s.id) for s in (first, second, third)] == ["cancelled"] * 3

    tell(story)


def test_a_task_cannot_wait_for_one_that_does_not_exist() -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(BusRefused, match="no task nowhere"):
            await desk.add(desk.spec(after=("nowhere",)))
        assert await desk.ledger.counts() == []

    tell(story)


def test_a_running_task_is_asked_to_end_and_does_not_come_back() -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        await desk.take()
        await desk.ledger.cancel(task, "enough")
        assert (await desk.ledger.touch({task: "t1"})).cancelling == (task,)

        await desk.end(task, Ending.FAILED, error="interrupted")

        assert await desk.state(task) == "cancelled"

    tell(story)


def test_only_ended_tasks_are_replayed_and_a_replayed_one_is_last_of_its_key() -> None:
    async def story(desk: Desk) -> None:
        first, second = await desk.add(desk.spec(key="k"), desk.spec(key="k"))
        with pytest.raises(ImpossibleStep):
            await desk.ledger.replay(second)
        with pytest.raises(NoSuchTask):
            await desk.ledger.replay("nowhere")
        await desk.take()
        await desk.end(first, Ending.GIVEN_UP)
        await desk.carry(await desk.ledger.replay(first))

        assert [r.id for r in desk.queue] == [second]
        assert await desk.state(first) == "held"

    tell(story)


def test_an_expired_task_is_dead_instead_of_late() -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec(expires_at=desk.clock.at + 5))
        desk.clock.at += 6

        assert await desk.take() is None
        assert await desk.state(task) == "dead"

    tell(story)


def test_a_result_that_a_held_task_needs_outlives_its_time() -> None:
    async def story(desk: Desk) -> None:
        first, slow = desk.spec(options=Options(keep_result_s=1)), desk.spec()
        join = desk.spec(after=(first.id, slow.id))
        await desk.add(first, slow, join)
        await desk.take()
        await desk.end(first.id, Ending.COMPLETED, result=b"1")
        desk.clock.at += 100
        await desk.due()

        assert await desk.state(first.id) == "completed"

    tell(story)


def test_an_effect_is_marked_once() -> None:
    async def story(desk: Desk) -> None:
        assert await desk.ledger.once("t", "mail", done=False) is False
        assert await desk.ledger.once("t", "mail", done=True) is True
        assert await desk.ledger.once("t", "mail", done=True) is False
        assert await desk.ledger.once("t", "mail", done=False) is True

    tell(story)


def test_due_says_when_to_ask_again() -> None:
    async def story(desk: Desk) -> None:
        assert (await desk.ledger.due()).next_at == 0
        at = desk.clock.at + 500
        await desk.add(desk.spec(not_before=at))

        assert (await desk.ledger.due()).next_at == at

    tell(story)
