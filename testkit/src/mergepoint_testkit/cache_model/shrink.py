"""Make a schedule that breaks a promise as short as it goes.

Place:  cache_model.__main__ -> [cache_model.shrink] -> cache_model.explore
Rule:   the shorter schedule breaks the same promise, with the same switches.
"""

from __future__ import annotations

from mergepoint_testkit.cache_model.explore import run
from mergepoint_testkit.cache_model.profiles import Profile, Schedule

TRIES_MAX = 4000


def shrink(steps: Schedule, profile: Profile, off: frozenset[str], promise: str) -> Schedule:
    """Leave out what is not needed: large pieces first, then single steps, until nothing goes."""
    tries = TRIES_MAX
    size = max(1, len(steps) // 2)
    while size:
        start, before = 0, len(steps)
        while start < len(steps) and tries:
            shorter = steps[:start] + steps[start + size :]
            tries -= 1
            if promise in run(shorter, profile, off).promises:
                steps = shorter
            else:
                start += size
        # What went may have been all that kept something else: single steps are tried again.
        if size > 1 or len(steps) == before or not tries:
            size //= 2
    return steps
