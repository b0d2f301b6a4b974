"""Wait for what the edge learns from the feed of the accounts app.

Place:  tests/forge_identity -> [waiting]
Rule:   bounded; the time is far longer than the promise, for machines with other work to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEARNED_S_MAX = 20.0
POLL_S = 0.05


def within(met: Callable[[], bool], seconds: float = LEARNED_S_MAX) -> float:
    """Return after how many seconds `met` was true; raise AssertionError when it never was."""
    began_s = time.monotonic()
    while not met():
        assert time.monotonic() - began_s < seconds, f"not within {seconds} s"
        time.sleep(POLL_S)
    return time.monotonic() - began_s
