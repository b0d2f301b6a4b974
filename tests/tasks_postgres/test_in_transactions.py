"""A task asked for in a transaction of the ledger's database exists if and only if that commits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from mergepoint.tasks.declare import Task
from mergepoint.tasks.errors import NoSuchTask
from mergepoint.tasks.outbox import OutboxMissing
from mergepoint.tasks.spec import Unique
from mergepoint.tasks.states import TaskState
from tests.tasks_postgres.sites import PostgresSite

Ship = Task[..., Any]


@pytest.fixture
def ship(site: PostgresSite) -> Iterator[Ship]:
    """A declared task; nobody runs it, and nobody relays anything."""

    @site.home.tasks.task(queue="test", unique=Unique(by=("order",)))
    def shipping(order: int) -> None:
        del order

    site.home.wait(site.home.ledger)
    yield shipping


@contextlib.contextmanager
def opened(kind: str, url: str) -> Iterator[Any]:
    if kind == "psycopg":
        with contextlib.closing(psycopg.connect(url)) as connection:
            yield connection
        return
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    with Session(engine) as session:
        yield session
    engine.dispose()


def messages(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT id FROM mergepoint.message WHERE queue = 'tasks.test' ORDER BY place"
        )
        return [row[0] for row in rows]


@pytest.mark.parametrize("kind", ["psycopg", "sqlalchemy"])
def test_record_and_message_are_there_as_soon_as_it_commits_and_not_before(
    site: PostgresSite, ship: Ship, kind: str
) -> None:
    with opened(kind, site.url) as app:
        handle = ship.with_options(connection=app).enqueue(1)
        assert messages(site.url) == []
        with pytest.raises(NoSuchTask):
            handle.record()
        app.commit()

    assert handle.record().state is TaskState.QUEUED
    assert messages(site.url) == [handle.id]


@pytest.mark.parametrize("kind", ["psycopg", "sqlalchemy"])
def test_rolled_back_it_never_was(site: PostgresSite, ship: Ship, kind: str) -> None:
    with opened(kind, site.url) as app:
        gone = ship.with_options(connection=app).enqueue(1)
        app.rollback()
        kept = ship.with_options(connection=app).enqueue(2)
        inner = app.begin_nested() if kind == "sqlalchemy" else app.transaction(force_rollback=True)
        with inner:
            ship.with_options(connection=app).enqueue(3)
            if kind == "sqlalchemy":
                inner.rollback()
        app.commit()

    with pytest.raises(NoSuchTask):
        gone.record()
    assert messages(site.url) == [kept.id]


def test_a_coroutine_does_the_same_with_its_own_session(site: PostgresSite, ship: Ship) -> None:
    async def story() -> Any:
        engine = create_async_engine(site.url.replace("postgresql:", "postgresql+psycopg:", 1))
        async with AsyncSession(engine) as session:
            handle = await ship.with_options(connection=session).aenqueue(1)
            await session.commit()
        await engine.dispose()
        return handle

    handle = asyncio.run(story())
    assert messages(site.url) == [handle.id]


def test_django_does_both_in_its_atomic_blocks(site: PostgresSite) -> None:
    program = Path(__file__).with_name("django_app.py")
    told = {**os.environ, "MERGEPOINT_BUS": json.dumps(site._bus("django/0"))}
    done = subprocess.run(
        [sys.executable, str(program)], env=told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["queued", "running", "completed"]


def test_of_one_kind_there_is_one_and_the_second_asker_is_given_its_handle(
    site: PostgresSite, ship: Ship
) -> None:
    with opened("psycopg", site.url) as app:
        first = ship.with_options(connection=app).enqueue(1)
        app.commit()
        second = ship.with_options(connection=app).enqueue(1)
        app.commit()

    assert second.duplicate
    assert second.id == first.id
    assert messages(site.url) == [first.id]


def test_what_is_due_later_is_recorded_and_not_yet_in_its_queue(
    site: PostgresSite, ship: Ship
) -> None:
    with opened("psycopg", site.url) as app:
        handle = ship.with_options(connection=app, at=3600).enqueue(1)
        app.commit()

    assert handle.record().state is TaskState.SCHEDULED
    assert messages(site.url) == []


def test_arguments_options_and_context_are_those_of_a_task_asked_for_outside(
    site: PostgresSite, ship: Ship
) -> None:
    with opened("psycopg", site.url) as app:
        inside = ship.with_options(connection=app, priority=9, retries=7).enqueue(1)
        app.commit()
    outside = ship.with_options(priority=9, retries=7).enqueue(2)
    one, other = inside.record().spec, outside.record().spec

    assert site.home.tasks.arguments(inside.record()) == ([1], {})
    assert (one.options, one.priority, one.app) == (other.options, other.priority, other.app)
    assert (one.content_type, one.context) == (other.content_type, other.context)


def test_before_the_ledger_was_made_the_app_is_told_so(
    site: PostgresSite, database: Callable[[], str]
) -> None:
    @site.home.tasks.task(queue="test")
    def unborn() -> None: ...

    del database
    with (
        opened("psycopg", site.url) as app,
        pytest.raises(OutboxMissing, match="no ledger of tasks") as refused,
    ):
        unborn.with_options(connection=app).enqueue()
    assert refused.value.next
