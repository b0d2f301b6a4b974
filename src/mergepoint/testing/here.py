"""The bus on the loop that is running anyway: a test, or a simulation, in one thread.

Place:  testing -> [testing.here] -> bus.loop
Rule:   async calls alone; a blocking one would wait for itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from mergepoint.bus.errors import BusRefused
from mergepoint.bus.loop import LoopThread

Answer = TypeVar("Answer")


class Here(LoopThread):
    """No thread at all."""

    def __init__(self) -> None:
        super().__init__("here")

    def wait(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Refuse."""
        del work
        raise BusRefused("this bus lives on the loop of its test", next="await the async call")

    async def join(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do it here and now."""
        return await work()

    def submit(self, work: Callable[[], Awaitable[Answer]]) -> Future[Answer]:
        """Refuse."""
        del work
        raise BusRefused("this bus lives on the loop of its test", next="await the async call")
