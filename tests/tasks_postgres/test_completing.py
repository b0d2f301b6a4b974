"""A handler completes its task in its own transaction: effects and end are one commit, or none."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from mergepoint.bus.contract import Limits
from mergepoint.bus.errors import NotCapable
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.context import Context
from mergepoint.tasks.contract import Ending, TaskRecord
from mergepoint.tasks.errors import TaskInterrupted
from mergepoint.tasks.executing import context_of
from mergepoint.tasks.messages import INBOX
from mergepoint.tasks.sending import inbox_put
from mergepoint.tasks.spec import PENDING_S, Options
from tests.tasks.ledgers import Desk
from tests.tasks_postgres.desks import desk_on, emptied

NOW = SystemClock()
Story = Callable[[Desk, psycopg.Connection], Awaitable[None]]
Tell = Callable[[Story], None]


@pytest.fixture
def told(shared: str) -> Iterator[Tell]:
    """Runs a story at a desk, with an app's connection beside it."""
    outbox.belong_to(bus_url=shared, limits=Limits(), clock=NOW)

    def told(story: Story) -> None:
        async def telling() -> None:
            async with desk_on(shared) as desk:
                await emptied(desk)
                desk.clock.at = NOW.unix_s()
                with psycopg.connect(shared) as app:
                    app.execute("CREATE TABLE IF NOT EXISTS effects (task text)")
                    app.execute("DELETE FROM effects")
                    app.commit()
                    await story(desk, app)

        asyncio.run(telling())

    yield told
    outbox.belong_to(bus_url="", limits=Limits(), clock=NOW)


async def taken(desk: Desk, token: str = "t1") -> tuple[TaskRecord, Context]:
    record = await desk.take(token)
    assert record is not None
    return record, context_of(record, None)


def effects(app: psycopg.Connection) -> list[str]:
    return [row[0] for row in app.execute("SELECT task FROM effects")]


def test_effect_and_completion_are_one_commit_whatever_is_said_afterwards(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        await desk.add(desk.spec())
        record, ctx = await taken(desk)
        app.execute("INSERT INTO effects VALUES (%s)", (ctx.id,))
        ctx.complete(app)
        assert await desk.state(record.id) == "running"
        app.commit()

        assert await desk.state(record.id) == "completed"
        assert await desk.end(record.id, Ending.FAILED, error="raised after its commit")
        assert await desk.state(record.id) == "completed"

    told(story)


def test_rolled_back_neither_was(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        await desk.add(desk.spec(options=Options(retries=0)))
        record, ctx = await taken(desk)
        app.execute("INSERT INTO effects VALUES (%s)", (ctx.id,))
        ctx.complete(app)
        app.rollback()
        await desk.end(record.id, Ending.FAILED)

        assert await desk.state(record.id) == "dead"
        assert effects(app) == []

    told(story)


def test_whoever_lost_the_task_cannot_commit_its_effect(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        await desk.add(desk.spec())
        message = desk.queue[0]
        record, ctx = await taken(desk)
        assert await desk.begin(message, "t2", "w2") is not None
        with pytest.raises(TaskInterrupted, match="somebody else's"), app.transaction():
            app.execute("INSERT INTO effects VALUES (%s)", (ctx.id,))
            ctx.complete(app)

        assert effects(app) == []
        assert await desk.state(record.id) == "running"

    told(story)


def test_a_second_call_does_nothing_and_a_result_is_kept(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        await desk.add(desk.spec())
        record, ctx = await taken(desk)
        ctx.codec = _Plain()
        ctx.complete(app, "first")
        ctx.complete(app, "second")
        app.commit()
        found = await desk.ledger.record(record.id)

        assert found is not None
        assert (found.result, found.result_type) == (b"first", "text/plain")

    told(story)


def test_what_waited_for_it_goes_when_the_run_ends(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        first = desk.spec(key="k")
        link, behind = desk.spec(after=(first.id,)), desk.spec(key="k")
        await desk.add(first, link, behind)
        record, ctx = await taken(desk)
        ctx.complete(app)
        app.commit()
        assert desk.queue == []
        await desk.end(record.id, Ending.COMPLETED)

        assert {release.id for release in desk.queue} == {link.id, behind.id}

    told(story)


def test_what_waited_for_it_goes_also_when_its_runner_never_came_back(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        first = desk.spec()
        link = desk.spec(after=(first.id,))
        await desk.add(first, link)
        message = desk.queue[0]
        _, ctx = await taken(desk)
        ctx.complete(app)
        app.commit()
        assert await desk.begin(message, "t2") is None  # its message came again: nothing runs
        assert desk.queue == []
        desk.clock.at = NOW.unix_s() + PENDING_S
        await desk.due()

        assert [release.id for release in desk.queue] == [link.id]

    told(story)


def test_nobody_waits_for_a_transaction_that_stays_open(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        slow, other = await desk.add(desk.spec(), desk.spec())
        message = desk.queue[0]
        _, ctx = await taken(desk, "t1")
        await taken(desk, "t2")
        ctx.complete(app)

        assert (await desk.ledger.touch({slow: "t1", other: "t2"})).lost == ()
        assert await desk.begin(message, "t3", "w3") is None  # it comes again a little later
        assert await desk.end(other, Ending.COMPLETED, "t2")
        await desk.carry(())
        assert [release.id for release in desk.queue] == [slow]
        app.rollback()
        assert await desk.take("t3", "w3") is not None

    told(story)


def test_nor_for_one_that_has_asked_for_the_next_of_a_key(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        first, other, second = desk.spec(key="k"), desk.spec(), desk.spec(key="k")
        await desk.add(first, other)
        await taken(desk, "t1")
        await taken(desk, "t2")
        put = inbox_put(second, "shop/0")
        outbox.join(app).put(INBOX, [put])  # type: ignore[union-attr]
        assert await desk.end(first.id, Ending.COMPLETED, "t1")
        assert await desk.end(other.id, Ending.COMPLETED, "t2")
        await desk.due()
        assert desk.queue == []
        app.commit()
        assert await desk.state(second.id) == "held"
        await desk.due()

        assert [release.id for release in desk.queue] == [second.id]

    told(story)


def test_a_coroutine_completes_with_a_connection_of_its_own_kind(told: Tell, shared: str) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        del app
        await desk.add(desk.spec())
        record, ctx = await taken(desk)
        async with await psycopg.AsyncConnection.connect(shared) as connection:
            await ctx.acomplete(connection)

        assert await desk.state(record.id) == "completed"

    told(story)


def test_elsewhere_it_is_refused_with_what_to_do_instead(told: Tell) -> None:
    async def story(desk: Desk, app: psycopg.Connection) -> None:
        await desk.add(desk.spec(), desk.spec(options=Options(batch=10)))
        record, ctx = await taken(desk, "t1")
        _, batch = await taken(desk, "t2")
        database = sqlite3.connect(":memory:")
        with pytest.raises(NotCapable, match="an sqlite3 connection") as refused:
            ctx.complete(database)
        assert "ctx.once" in refused.value.next
        with pytest.raises(NotCapable, match="batches"):
            batch.complete(app)
        assert await desk.state(record.id) == "running"

    told(story)


class _Plain:
    """Texts as they are."""

    def encode(self, value: Any) -> tuple[bytes, str]:
        return str(value).encode(), "text/plain"

    def decode(self, data: bytes, content_type: str) -> Any:
        del content_type
        return data.decode()
