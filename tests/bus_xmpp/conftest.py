"""One Prosody for the conformance tests; faults are done to servers of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mergepoint_testkit.prosody import ProsodyServer, running_prosody


@pytest.fixture(scope="session")
def prosody() -> Iterator[ProsodyServer]:
    """A server that no test stops."""
    with running_prosody() as server:
        yield server
