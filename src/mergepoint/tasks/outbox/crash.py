"""Points at which a test lets the relay die as if it were killed.

Place:  outbox.relay -> [outbox.crash]
Rule:   nothing happens unless the settings name a point; only tests do.
"""

from __future__ import annotations

import os
from collections.abc import Callable

KILLED = 137
"""The exit code of a process that SIGKILL ended, as shells tell it."""
POINTS = (
    "relay.after_claim",
    "relay.after_publish",
    "relay.before_delete",
    "relay.after_delete",
)


def crash_points(crash_at: str) -> Callable[[str], None]:
    """Return what is called at every point; it ends the process at the one named.

    `crash_at` is `name`, or `name:n` for the n-th passing; empty for never.
    """
    name, _, nth = crash_at.partition(":")
    left = int(nth) if nth.isdigit() else 1

    def passing(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os._exit(KILLED)

    return passing
