"""The engine on NATS keeps what every engine promises."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.nats import NatsServer

from .source import NatsSource

BRIEF = ("a_reset_", "who_left_", "a_slow_")
OUTAGES = promises("outages")


def is_brief(promise: Promise) -> bool:
    """Tell whether it is put to the test each time, not in a soak alone."""
    return promise.name.partition(".")[2].startswith(BRIEF)


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_nats_keeps(promise: Promise, nats: NatsServer) -> None:
    keep(promise, NatsSource(nats))


@pytest.mark.parametrize("promise", [*filter(is_brief, OUTAGES)], ids=str)
def test_nats_survives(promise: Promise, nats: NatsServer) -> None:
    keep(promise, NatsSource(nats))


@pytest.mark.soak
@pytest.mark.parametrize("promise", OUTAGES, ids=str)
def test_nats_survives_everything(promise: Promise, nats: NatsServer) -> None:
    keep(promise, NatsSource(nats))
