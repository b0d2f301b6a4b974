"""One event loop in a thread of its own: what the engine of a process lives on.

Place:  bus.doorway -> [bus.loop] -> asyncio, threading
Rule:   begins when it is first needed, begins anew after a fork, and blocks nobody's own loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from mergepoint.bus.errors import BusClosed, BusRefused

Answer = TypeVar("Answer")
Work = Callable[[], Awaitable[Answer]]
START_S_MAX = 10.0
STOP_S_MAX = 5.0

_KNOWN: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_INHERITED: list[object] = []
"""Loops of a parent process. They are kept, not collected: closing one here would take
descriptors out of the epoll set that parent and child share."""
_registered = False


class LoopThread:
    """An event loop in a daemon thread."""

    def __init__(
        self,
        name: str,
        *,
        make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        on_fork: Callable[[], None] = lambda: None,
        passing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._name = name
        self._passing = passing
        self._make_loop = make_loop
        self._on_fork = on_fork
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.generation = 0
        """Rises with every fork: what was made in another generation belongs to the parent."""
        _remember(self)

    def wait(self, work: Work[Answer]) -> Answer:
        """Run it on the loop, and wait for it in this thread; only from blocking code."""
        running = _running_loop()
        if running is not None:
            where = "the bus's own loop" if running is self._loop else "async code"
            raise BusRefused(
                f"this call blocks and was made in {where}",
                next="await the call of the same name that begins with a: apublish, aput, aget",
            )
        future = self.submit(self._passed(work))
        try:
            return future.result()
        except CancelledError:
            raise BusClosed("the bus of this process was closed meanwhile") from None
        except BaseException:
            future.cancel()  # interrupted here: nobody wants it any more
            raise

    async def join(self, work: Work[Answer]) -> Answer:
        """Run it on the loop, and wait for it in a coroutine of any loop."""
        if _running_loop() is self._loop:
            return await work()
        return await asyncio.wrap_future(self.submit(self._passed(work)))

    def submit(self, work: Work[Answer]) -> Future[Answer]:
        """Begin it on the loop, with this thread's context; return at once."""
        loop = self._started()
        try:
            return asyncio.run_coroutine_threadsafe(_awaited(work), loop)
        except RuntimeError:
            raise BusClosed("the bus of this process was closed") from None

    def check_generation(self, generation: int, what: str) -> None:
        """Raise `BusClosed` when this was made before the process forked."""
        if generation != self.generation:
            raise BusClosed(f"{what} belongs to the parent process: make it after the fork")

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End the thread and what is left on it; a second call does nothing."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._closed = True
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            if thread is not threading.current_thread():
                thread.join(STOP_S_MAX)

    def forget(self) -> None:
        """Be as new: the child of a fork has no thread, and must not touch its parent's loop."""
        _INHERITED.append((self._loop, self._thread))
        self._lock = threading.Lock()
        self._loop = self._thread = None
        self.generation += 1
        self._on_fork()

    def _passed(self, work: Work[Answer]) -> Work[Answer]:
        # On the loop itself: whoever waits hears of the end later, and time must stand by then.
        async def passed() -> Answer:
            with self._passing():
                return await work()

        return passed

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise BusClosed("the bus of this process was closed")
            if self._loop is None:
                begun = threading.Event()
                self._loop = self._make_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop, begun), name=self._name, daemon=True
                )
                self._thread.start()
                begun.wait(START_S_MAX)
            return self._loop


async def _awaited(work: Work[Answer]) -> Answer:
    return await work()


def _run(loop: asyncio.AbstractEventLoop, begun: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(begun.set)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(_gathered(tasks))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _gathered(tasks: set[asyncio.Task[Any]]) -> Coroutine[Any, Any, None]:
    async def gather() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)

    return gather()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _remember(thread: LoopThread) -> None:
    global _registered  # noqa: PLW0603 - registering cannot be undone, so it is done once
    _KNOWN.add(thread)
    if not _registered:
        os.register_at_fork(after_in_child=_after_fork)
        _registered = True


def _after_fork() -> None:
    for thread in list(_KNOWN):
        thread.forget()
