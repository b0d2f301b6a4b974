"""Requests as an app sees them: ask an address, answer at one.

Place:  bus.doorway -> [bus.doorway_requests] -> bus.calls, bus.loop
Rule:   no handler runs on the engine's loop: a `def` runs in a thread, an `async def` on the loop
        it was served from, or on one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from mergepoint.bus import context
from mergepoint.bus.calls import Calls, named
from mergepoint.bus.contract import Serving
from mergepoint.bus.errors import BusRefused, RequestTimeout
from mergepoint.bus.loop import LoopThread
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import check_address

TIMEOUT_S = 5.0
"""How long a request waits where its caller does not say."""
THREADS_MAX = 8
"""Blocking handlers of one process that run at the same time; others wait their turn."""

Answerer = Callable[[Any], Any]
"""Takes the value that was asked, returns the answer's value; `def` or `async def`."""


class Desk:
    """Where a process answers: the threads and the loop of its handlers."""

    def __init__(
        self, calls: Calls, holding: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._calls = calls
        self._holding = holding
        self._threads: ThreadPoolExecutor | None = None
        self._loop: LoopThread | None = None

    async def serve(
        self, address: str, answer: Answerer, home: asyncio.AbstractEventLoop | None
    ) -> Serving:
        """Answer at the address; `home` is the loop of async handlers."""
        async with self._calls.call("serve", "request") as engine:
            return await engine.serve(address, partial(self._answered, address, answer, home))

    def forget(self) -> None:
        """Be as new, in the child of a fork."""
        self._threads = None
        self._loop = None

    def close(self) -> None:
        """End the threads, not what runs in them."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._loop is not None:
            self._loop.close()

    async def _answered(
        self,
        address: str,
        answer: Answerer,
        home: asyncio.AbstractEventLoop | None,
        message: Message,
    ) -> Message:
        deadline = _deadline_of(message)
        if deadline and deadline <= self._calls.clock.unix_s():
            raise RequestTimeout(f"{address}: the request came after its deadline and was not run")
        value = self._calls.value(message)
        begun = self._calls.clock.monotonic_s()
        carried = context.continued(message.extensions, app=self._calls.app)
        with carried, context.wanted_until(deadline):
            if inspect.iscoroutinefunction(answer):
                result = await self._awaited(answer, value, home)
            else:
                result = await self._threaded(answer, value)
            reply = self._calls.message(address, result, subject=message.id)
        self._calls.counts.add("answer", "ok", self._calls.clock.monotonic_s() - begun)
        return reply

    async def _awaited(
        self,
        answer: Callable[[Any], Awaitable[Any]],
        value: Any,
        home: asyncio.AbstractEventLoop | None,
    ) -> Any:
        async def run() -> Any:
            return await answer(value)

        with self._holding():
            if home is not None and not home.is_closed():
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), home))
            if self._loop is None:
                self._loop = LoopThread("mergepoint-handlers")
            return await self._loop.join(run)

    async def _threaded(self, answer: Answerer, value: Any) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, "mergepoint-answer")
        carried = contextvars.copy_context()
        running = asyncio.get_running_loop()
        with self._holding():
            return await running.run_in_executor(self._threads, carried.run, answer, value)


def asking(
    calls: Calls, address: str, value: Any, timeout_s: float
) -> Callable[[], Awaitable[Any]]:
    """Return the work of one request, its envelope made in the caller's context.

    Within a handler it ends by the deadline of the request that is being handled.
    """
    named(check_address, address, own=True)
    if timeout_s <= 0:
        raise BusRefused(f"timeout_s {timeout_s:g}; a request needs some time")
    now = calls.clock.unix_s()
    deadline = min(now + timeout_s, context.deadline() or now + timeout_s)
    if deadline <= now:
        raise RequestTimeout(f"{address} was not asked: whoever wants the answer waits no longer")
    timeout_s = deadline - now
    extensions = {"mpdeadline": f"{deadline:.3f}"}
    message = calls.message(address, value, extensions=extensions)

    async def work() -> Any:
        limit_s = timeout_s + calls.limits.call_s
        async with calls.call("request", "request", limit_s=limit_s) as engine:
            answer = await engine.request(address, message, timeout_s=timeout_s)
        return calls.value(answer)

    return work


def _deadline_of(message: Message) -> float:
    """Return Unix seconds, 0 for none; what is no number is none: anybody may write envelopes."""
    try:
        return float(message.extensions.get("mpdeadline", "") or 0.0)
    except ValueError:
        return 0.0


class Served:
    """An address that is being served by this process."""

    def __init__(self, loop: LoopThread, serving: Serving) -> None:
        self._loop = loop
        self._serving = serving

    def close(self) -> None:
        """Take no more, return when what is in hand is answered."""
        self._loop.wait(self._serving.close)

    async def aclose(self) -> None:
        """As `close`."""
        await self._loop.join(self._serving.close)
