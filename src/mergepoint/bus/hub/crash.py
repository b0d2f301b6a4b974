"""Points at which a test lets the hub die as if it were killed.

Place:  bus.hub.groups, bus.hub.server -> [bus.hub.crash]
Rule:   nothing happens unless the settings name a point; only tests do.

`hub.after_statements`, `hub.before_commit`, `hub.after_commit`, `hub.before_answer`,
`hub.after_answer`, `hub.before_checkpoint`, `hub.after_checkpoint`, `hub.before_listen`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

KILLED = 137
"""The exit code of a process that SIGKILL ended, as shells tell it."""
POINTS = frozenset(
    f"hub.{name}"
    for name in (
        "after_statements",
        "before_commit",
        "after_commit",
        "before_answer",
        "after_answer",
        "before_checkpoint",
        "after_checkpoint",
        "before_listen",
    )
)


def crash_points(crash_at: str) -> Callable[[str], None]:
    """Return what is called at every point: dies without any clean-up at the one named.

    `crash_at` is `name`, or `name:n` for the n-th passing; empty for never.
    """
    if not crash_at:
        return _nothing
    name, _, nth = crash_at.partition(":")
    left = int(nth) if nth.isdigit() else 1

    def passing(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os._exit(KILLED)

    return passing


def _nothing(_point: str) -> None:
    return None
