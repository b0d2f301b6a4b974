"""The engine on NATS keeps what every engine promises."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.nats import NatsServer

from .source import NatsSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_nats_keeps(promise: Promise, nats: NatsServer) -> None:
    keep(promise, NatsSource(nats))
