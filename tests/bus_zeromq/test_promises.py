"""The engine over ZeroMQ keeps what every engine promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.bus import Promise, promises
from mergepoint_testkit.bus.lanes import Lanes, running_lanes

from .source import ZeromqSource


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest) -> Iterator[Lanes]:
    with running_lanes(request, lambda _lane: ZeromqSource()) as running:
        yield running


@pytest.fixture(scope="module")
def lanes_over_tcp(request: pytest.FixtureRequest) -> Iterator[Lanes]:
    with running_lanes(request, lambda _lane: ZeromqSource("tcp")) as running:
        yield running


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_zeromq_keeps(promise: Promise, lanes: Lanes) -> None:
    lanes.keep(promise)


@pytest.mark.parametrize("promise", promises("topics", "requests", "presence"), ids=str)
def test_zeromq_over_tcp_keeps(promise: Promise, lanes_over_tcp: Lanes) -> None:
    lanes_over_tcp.keep(promise)
