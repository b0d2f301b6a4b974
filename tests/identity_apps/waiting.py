"""Wait for what the edge learns from the feed, and the cookies of a visitor as one header.

Place:  tests/identity_apps -> [waiting]
Rule:   bounded; the time is far longer than the promise, for machines with other work to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mergepoint_testkit.visitor import Visitor

POLL_S = 0.1


def assert_soon(met: Callable[[], bool], seconds: float = 15.0) -> None:
    """Ask until it is so: the edge reads of revocations twice a second."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def cookie(visitor: Visitor) -> str:
    """Return what a client that is no browser sends as this visitor."""
    return "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
