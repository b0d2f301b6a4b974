"""What the ledger promises about tasks that wait for each other, with a clock that is moved."""

from __future__ import annotations

import pytest

from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.contract import Ending
from mergepoint.tasks.errors import ImpossibleStep, NoSuchTask
from mergepoint.tasks.spec import Options, Rate, Unique
from mergepoint.tasks.states import TaskState
from tests.tasks.ledgers import Desk, Tell


def test_tasks_of_one_key_start_one_at_a_time_in_the_order_they_were_accepted(tell: Tell) -> None:
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


def test_a_delayed_task_of_a_key_holds_back_those_behind_it(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        later = desk.spec(key="k", not_before=desk.clock.at + 100)
        await desk.add(later, desk.spec(key="k"))
        assert desk.queue == []

        desk.clock.at += 100
        await desk.due()

        assert [release.id for release in desk.queue] == [later.id]

    tell(story)


def test_a_dead_or_cancelled_task_lets_the_next_of_its_key_go(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        first, second, third = await desk.add(*(desk.spec(key="k") for _ in range(3)))
        await desk.take()
        await desk.end(first, Ending.GIVEN_UP, error="no")
        assert [r.id for r in desk.queue] == [second]

        await desk.carry((await desk.ledger.cancel(second)).releases)

        assert await desk.take() is None
        assert [r.id for r in desk.queue] == [third]

    tell(story)


def test_one_task_of_a_unique_key_at_a_time(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        first = desk.spec(unique_key="u")
        assert await desk.add(first, desk.spec(unique_key="u")) == [first.id, first.id]
        await desk.take()
        await desk.end(first.id, Ending.COMPLETED)
        third = desk.spec(unique_key="u")

        assert await desk.add(third) == [third.id]

    tell(story)


def test_a_unique_period_goes_on_after_the_task_is_done(tell: Tell) -> None:
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


def test_unique_only_until_it_starts(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        unique = Unique(states=(TaskState.PENDING, TaskState.QUEUED))
        first, second = (desk.spec(unique_key="u", unique=unique) for _ in range(2))
        await desk.add(first)
        await desk.take()

        assert await desk.add(second) == [second.id]

    tell(story)


def test_a_rate_gives_every_waiting_task_a_time_of_its_own(tell: Tell) -> None:
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


def test_an_unknown_name_is_parked_and_released_when_a_runner_knows_it(tell: Tell) -> None:
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


def test_a_chain_hands_results_on_and_waits_for_a_dead_link_to_be_replayed(tell: Tell) -> None:
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


def test_a_join_starts_once_when_all_of_its_group_are_done_with_their_results_in_order(
    tell: Tell,
) -> None:
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


def test_cancelling_a_link_cancels_what_waits_for_it(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        first = desk.spec()
        second = desk.spec(after=(first.id,))
        third = desk.spec(after=(second.id,))
        await desk.add(first, second, third)
        await desk.ledger.cancel(first.id, "not wanted")

        assert [await desk.state(s.id) for s in (first, second, third)] == ["cancelled"] * 3

    tell(story)


def test_a_task_cannot_wait_for_one_that_does_not_exist(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(BusRefused, match="no task nowhere"):
            await desk.add(desk.spec(after=("nowhere",)))
        assert await desk.ledger.counts() == []

    tell(story)


def test_a_running_task_is_asked_to_end_and_does_not_come_back(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec())
        await desk.take()
        await desk.ledger.cancel(task, "enough")
        assert (await desk.ledger.touch({task: "t1"})).cancelling == (task,)

        await desk.end(task, Ending.FAILED, error="interrupted")

        assert await desk.state(task) == "cancelled"

    tell(story)


def test_only_ended_tasks_are_replayed_and_a_replayed_one_is_last_of_its_key(tell: Tell) -> None:
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


def test_an_expired_task_is_dead_instead_of_late(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (task,) = await desk.add(desk.spec(expires_at=desk.clock.at + 5))
        desk.clock.at += 6

        assert await desk.take() is None
        assert await desk.state(task) == "dead"

    tell(story)


def test_a_result_that_a_held_task_needs_outlives_its_time(tell: Tell) -> None:
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


def test_an_effect_is_marked_once(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        assert await desk.ledger.once("t", "mail", done=False) is False
        assert await desk.ledger.once("t", "mail", done=True) is True
        assert await desk.ledger.once("t", "mail", done=True) is False
        assert await desk.ledger.once("t", "mail", done=False) is True

    tell(story)


def test_due_says_when_to_ask_again(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        assert (await desk.ledger.due()).next_at == 0
        at = desk.clock.at + 500
        await desk.add(desk.spec(not_before=at))

        assert (await desk.ledger.due()).next_at == at

    tell(story)


def test_what_is_freed_by_its_chain_still_waits_for_its_key(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        first, before = desk.spec(), desk.spec(key="k")
        after = desk.spec(key="k", after=(first.id,))
        await desk.add(first, before, after)
        await desk.take("t1")
        await desk.end(first.id, Ending.COMPLETED)
        assert await desk.state(after.id) == "held"

        await desk.take("t2")
        await desk.end(before.id, Ending.COMPLETED, token="t2")

        assert [release.id for release in desk.queue] == [after.id]

    tell(story)
