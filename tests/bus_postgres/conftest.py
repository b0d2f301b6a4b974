"""One server for all of these tests, a database for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Callable[[], str]:
    return lambda: server.create(f"bus{next(_numbers)}")
