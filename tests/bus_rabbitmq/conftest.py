"""A RabbitMQ of the tests' own for the session; a test that breaks one has another.

Place:  make test
Rule:   every test has a prefix of its own in one virtual host.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.rabbitmq import RabbitServer, running_rabbitmq


@pytest.fixture(scope="session")
def server() -> Iterator[RabbitServer]:
    with running_rabbitmq() as running:
        yield running
