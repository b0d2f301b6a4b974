"""The engine on NATS keeps what every engine promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.bus import Promise, promises
from mergepoint_testkit.bus.lanes import Lanes, running_lanes
from mergepoint_testkit.bus.outages import brief_outages
from mergepoint_testkit.nats import NatsServer

from .source import NatsSource


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest, nats: NatsServer) -> Iterator[Lanes]:
    with running_lanes(request, lambda _lane: NatsSource(nats)) as running:
        yield running


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_nats_keeps(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)


@pytest.mark.parametrize("promise", brief_outages(), ids=str)
def test_nats_survives(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)


@pytest.mark.soak
@pytest.mark.parametrize("promise", promises("outages"), ids=str)
def test_nats_survives_everything(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)
