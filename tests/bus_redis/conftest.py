"""Redis servers of the tests' own: one for the session, others where a test breaks them.

Place:  make test
Rule:   every test has a prefix of its own; a server that is killed belongs to one test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.redis import RedisServer, running_redis


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running
