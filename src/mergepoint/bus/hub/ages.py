"""Time for the hub: what the wall clock says, and an age that only ever grows.

Place:  bus.hub.groups, bus.hub.store -> [bus.hub.ages]
Rule:   windows and lives are measured in age; only what a person set by the clock is not.

A wall clock jumps: an hour forward would end every dedupe window and let a repeat through, an hour
back would keep a retry waiting. The age goes with the monotonic clock while the hub runs, and over
a restart adds what the wall clock says went by, if that is believable.
"""

from __future__ import annotations

from mergepoint.core.clock import Clock

DOWN_S_MAX = 30 * 86400.0
"""A restart that seems to have taken longer is a clock that was set."""


def age_after_restart(age_s: float, kept_unix_s: float, unix_s: float) -> float:
    """Return the age to go on from; never less than what was kept."""
    return age_s + min(max(0.0, unix_s - kept_unix_s), DOWN_S_MAX)


class Ages:
    """The three times of one moment."""

    def __init__(self, clock: Clock, age_s: float = 0.0) -> None:
        self._clock = clock
        self._offset_s = age_s - clock.monotonic_s()

    def unix_s(self) -> float:
        """Return wall-clock seconds."""
        return self._clock.unix_s()

    def monotonic_s(self) -> float:
        """Return seconds that grow while this process runs."""
        return self._clock.monotonic_s()

    def age_s(self) -> float:
        """Return seconds that grow over restarts."""
        return self._clock.monotonic_s() + self._offset_s
