"""Everything the bus promises, on a real RabbitMQ with quorum queues."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.rabbitmq import RabbitServer

from .source import RabbitmqSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_rabbitmq_keeps(promise: Promise, server: RabbitServer) -> None:
    keep(promise, RabbitmqSource(server))
