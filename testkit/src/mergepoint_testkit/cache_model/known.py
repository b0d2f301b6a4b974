"""Schedules written by hand, for what chance meets too rarely to wait for it.

Place:  tests/cache_model -> [cache_model.known] -> cache_model.actions
Rule:   each breaks a promise without its rule, and none with it.
"""

from __future__ import annotations

from mergepoint_testkit.cache_model.actions import PATHS, READ_SIZES, ROWS, WRITE_SIZES
from mergepoint_testkit.cache_model.profiles import PROFILES, Schedule, Step

FIRST_EDGE, SECOND_EDGE, PAST_THE_EDGES = 0, 1, 2
PROFILE = PROFILES["stress"]
ASKED: Schedule = (("carry_first", 0), ("hub_step", 0), ("hub_step", 0), ("hub_step", 0))
"""A question comes to the hub, which reads and answers."""


def _read(edge: int, path: str) -> Step:
    return "read", _x((0, edge, PATHS.index(path), 1, 1), READ_SIZES)


def _write(edge: int, row: str) -> Schedule:
    begin = _x((1, edge, ROWS.index((row,)), 0, 1), WRITE_SIZES)
    go_on = ("end_transaction", 64)  # not rolled back
    return (("write", begin), go_on, go_on)


def _x(parts: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    x = 0
    for part, size in zip(reversed(parts), reversed(sizes), strict=True):
        x = x * size + part
    return x


def _wait(ticks: int) -> Schedule:
    longest = PROFILE.pace.wait
    whole, rest = divmod(ticks, longest)
    return (("wait", longest - 1),) * whole + ((("wait", rest - 1),) if rest else ())


_LATE = PROFILE.pace.lease - 25

LATE_EVENT: Schedule = (
    # The second edge stores a page, under a lease of its own, and says what it has.
    _read(SECOND_EDGE, "/one"),
    *ASKED,
    ("carry_first", 0),
    *(("fly", 0),) * 2,
    ("pull", SECOND_EDGE),
    *ASKED,
    ("carry_first", 0),
    # A writer at the first edge makes the hub tell the second one; that news lies somewhere.
    *_write(FIRST_EDGE, "y1"),
    ("answer_write", 0),
    *ASKED,
    ("delay", 0),
    # Then the page changes, and when the news comes at last, it knows nothing of that.
    *_write(PAST_THE_EDGES, "x1"),
    *_wait(_LATE),
    ("carry_late", 0),
    *_wait(PROFILE.pace.lease - _LATE + 10),
    _read(SECOND_EDGE, "/one"),
)

KNOWN = {"I4-event": LATE_EVENT}
"""By the rule without which they break."""
