"""The engine over ZeroMQ keeps what every engine promises."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises

from .source import ZeromqSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_zeromq_keeps(promise: Promise) -> None:
    keep(promise, ZeromqSource())


@pytest.mark.parametrize("promise", promises("topics", "requests", "presence"), ids=str)
def test_zeromq_over_tcp_keeps(promise: Promise) -> None:
    keep(promise, ZeromqSource("tcp"))
