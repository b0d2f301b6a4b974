"""Everything the bus promises, on a real Redis."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.redis import RedisServer

from .source import RedisSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_redis_keeps(promise: Promise, server: RedisServer) -> None:
    keep(promise, RedisSource(server))
