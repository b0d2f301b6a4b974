"""One server for all of these tests; stories of the ledger share a database that is emptied."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

from tests.tasks.askers import Asker
from tests.tasks.ledgers import Story, Tell
from tests.tasks_postgres.desks import desk_on, emptied
from tests.tasks_postgres.sites import PostgresSite, site_on

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Callable[[], str]:
    return lambda: server.create(f"tasks{next(_numbers)}")


@pytest.fixture(scope="session")
def shared(server: Postgres) -> str:
    return server.create("shared")


@pytest.fixture
def tell(shared: str) -> Tell:
    def tell(story: Story) -> None:
        async def told() -> None:
            async with desk_on(shared) as desk:
                await emptied(desk)
                await story(desk)

        asyncio.run(told())

    return tell


@pytest.fixture
def site(tmp_path: Path, database: Callable[[], str]) -> Iterator[PostgresSite]:
    with site_on(tmp_path, database()) as made:
        yield made


@pytest.fixture
def asker(site: PostgresSite) -> Asker:
    return Asker(site)
