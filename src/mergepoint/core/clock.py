"""The only place that asks the system for the time.

Place:  [core.clock] -> supervisor, cli
Rule:   everything else receives a `Clock`, so that tests move time instead of waiting.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, wall-clock seconds, and waiting."""

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards; meaning only in differences."""
        ...

    def unix_s(self) -> float:
        """Return seconds since 1970 for people and records."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once when zero or negative."""
        ...


class SystemClock:
    """The machine's clocks and asyncio's timer."""

    def monotonic_s(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def unix_s(self) -> float:
        """Return `time.time()`."""
        return time.time()  # noqa: TID251 - the one owner

    async def sleep(self, seconds: float) -> None:
        """Wait with asyncio; never negative."""
        await asyncio.sleep(max(0.0, seconds))
