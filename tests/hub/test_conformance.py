"""The engine keeps every promise of the bus, over a socket to a real hub process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from mergepoint_testkit.bus import Promise, promises
from mergepoint_testkit.bus.lanes import Lanes, running_lanes

from mergepoint.bus.contract import Limits

from .hub_process import HubProcess
from .source import HubSource


@pytest.fixture(scope="module")
def lanes(
    request: pytest.FixtureRequest, shared_hubs: Callable[[Limits], HubProcess]
) -> Iterator[Lanes]:
    with running_lanes(request, lambda _lane: HubSource(shared_hubs)) as running:
        yield running


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_the_engine_keeps(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)
