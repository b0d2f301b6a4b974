"""The engine keeps every promise of the bus, over a socket to a real hub process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mergepoint_testkit.bus import Promise, keep, promises

from mergepoint.bus.contract import Limits

from .hub_process import HubProcess
from .source import HubSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_the_engine_keeps(promise: Promise, shared_hubs: Callable[[Limits], HubProcess]) -> None:
    keep(promise, HubSource(shared_hubs))
