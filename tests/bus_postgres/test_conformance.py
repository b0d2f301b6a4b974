"""The engine keeps every promise of the bus."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.postgres import Postgres

from .source import PostgresSource


@pytest.fixture(scope="session")
def shared(server: Postgres) -> str:
    return server.create("conformance")


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_the_engine_keeps(promise: Promise, shared: str) -> None:
    keep(promise, PostgresSource(shared))
