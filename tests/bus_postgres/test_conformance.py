"""The engine keeps every promise of the bus, and survives what is done to its connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.bus import Promise, promises
from mergepoint_testkit.bus.lanes import LANES, Lanes, running_lanes
from mergepoint_testkit.bus.outages import brief_outages
from mergepoint_testkit.postgres import Postgres

from .source import PostgresSource


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest, server: Postgres) -> Iterator[Lanes]:
    for number in range(LANES):
        server.create(f"lane{number}")
    with running_lanes(request, lambda lane: PostgresSource(server, f"lane{lane}")) as running:
        yield running


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_the_engine_keeps(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)


@pytest.mark.parametrize("promise", brief_outages(), ids=str)
def test_the_engine_survives(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)


@pytest.mark.soak
@pytest.mark.parametrize("promise", promises("outages"), ids=str)
def test_the_engine_survives_everything(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)
