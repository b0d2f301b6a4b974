"""One NATS server for the conformance tests; faults are done to servers of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.nats import NatsServer, running_nats


@pytest.fixture(scope="session")
def nats() -> Iterator[NatsServer]:
    """A server that no test stops."""
    with running_nats() as server:
        yield server
