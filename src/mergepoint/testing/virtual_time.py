"""Time that jumps instead of passing: a clock, and an event loop that lives by it.

Place:  tests -> [testing.virtual_time] -> asyncio
Rule:   nothing sleeps; the loop leaps to its next timer when nobody has anything to do.

Everything that waits through this loop (`asyncio.sleep`, `timeout`, the `Clock` itself) waits in
virtual seconds. Real sockets work: the loop leaps only when no descriptor is ready. Work handed to
threads is not seen: hold the time (`holding`) while a thread is at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import threading
from collections.abc import Iterator

START_UNIX_S = 1_800_000_000.0
IDLE_S_MAX = 30.0
"""Real seconds to wait until a loop has nothing left to do."""


class VirtualTime:
    """A `Clock` whose seconds pass when they are asked to.

    `free`: the time leaps whenever nothing is left to do now. Else it stands until `advance`.
    """

    def __init__(self, *, free: bool = True) -> None:
        self._now = 0.0
        self._allowed = math.inf if free else 0.0
        self._held = 0
        self._passing = 0
        self._idle = False
        self._changed = threading.Condition()
        self._loops: list[VirtualLoop] = []

    def monotonic_s(self) -> float:
        """Return virtual seconds since the beginning."""
        return self._now

    def unix_s(self) -> float:
        """Return the same, as seconds since 1970."""
        return START_UNIX_S + self._now

    async def sleep(self, seconds: float) -> None:
        """Return when that much virtual time has gone by; the loop must be `loop()`'s."""
        await asyncio.sleep(max(0.0, seconds))

    def loop(self) -> VirtualLoop:
        """Return a new event loop that lives by this time; one at a time."""
        loop = VirtualLoop(self)
        self._loops = [kept for kept in self._loops if not kept.is_closed()] + [loop]
        return loop

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Let no time pass meanwhile."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
            self._wake()

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Let the time pass that somebody waits for meanwhile, though it stands otherwise."""
        with self._changed:
            self._passing += 1
        self._wake()
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1

    def advance(self, seconds: float) -> None:
        """Let the time pass, from another thread; return when all that was due is done."""
        with self._changed:
            self._allowed = max(self._allowed, self._now) + seconds
            self._idle = all(loop.is_closed() for loop in self._loops)
        self._wake()
        with self._changed:
            if not self._changed.wait_for(lambda: self._idle, IDLE_S_MAX):
                raise TimeoutError(f"still busy after {IDLE_S_MAX:g} real seconds")
            self._now = max(self._now, self._allowed)

    def rest(self, timeout: float | None) -> float | None:
        """Tell the selector how long to block for real; leap if a timer is due by then.

        The selector's alone: it has found nothing ready, and its next timer is `timeout` away.
        """
        with self._changed:
            if self._held:
                return None
            due = timeout is not None and self._now + timeout <= self._allowed
            if timeout is not None and (due or self._passing):
                self._now += timeout
                return 0.0
            self._idle = True
            self._changed.notify_all()
            return None

    def _wake(self) -> None:
        for loop in self._loops:
            with contextlib.suppress(RuntimeError):  # closed meanwhile: nothing to wake
                loop.call_soon_threadsafe(lambda: None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `VirtualTime`."""

    def __init__(self, time: VirtualTime) -> None:
        self._virtual = time
        super().__init__(_LeapingSelector(time))

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._virtual.monotonic_s()


class _LeapingSelector(selectors.DefaultSelector):
    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._virtual = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return super().select(self._virtual.rest(timeout))
