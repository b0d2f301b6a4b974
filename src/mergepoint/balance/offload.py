"""CPU work in another process, called like the function it is.

Place:  apps, tasks -> [balance.offload] -> balance.pool
Rule:   blocking code blocks, a loop goes on; a call that nobody waits for any more is stopped.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mergepoint.balance.pool import Pool

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_shared: list[Pool] = []


def shared_pool() -> Pool:
    """Return the pool of functions that name none: one child for each CPU, made at first use."""
    with _lock:
        if not _shared:
            _shared.append(Pool())
            atexit.register(_shared[0].close)
        return _shared[0]


class Offloaded(Generic[P, R]):
    """A function whose calls run in a child process.

    Calling it blocks until the result is there, `acall` waits in async code, and
    `offloaded_function` is the function itself. Errors arrive as they were raised, with the other
    process's traceback as their cause; `balance.errors` names what else can happen.
    """

    def __init__(
        self, function: Callable[P, R], *, pool: Pool | None, timeout_s: float | None
    ) -> None:
        functools.update_wrapper(self, function)
        self.offloaded_function = function
        self._pool = pool
        self._timeout_s = timeout_s

    def __call__(self, *values: P.args, **named: P.kwargs) -> R:
        """Return what the function returns; an interrupt stops the call."""
        call = self._submit(values, named)
        try:
            outcome: R = call.future.result()
        except BaseException:
            if not call.future.done():
                call.abandon()
            raise
        return outcome

    async def acall(self, *values: P.args, **named: P.kwargs) -> R:
        """Return what the function returns; cancelling stops the call and its process."""
        call = self._submit(values, named)
        try:
            outcome: R = await asyncio.wrap_future(call.future)
        except asyncio.CancelledError:
            call.abandon()
            raise
        return outcome

    def _submit(self, values: Any, named: Any) -> Any:
        pool = self._pool or shared_pool()
        return pool.submit(self.offloaded_function, values, named, timeout_s=self._timeout_s)


@overload
def offload(function: Callable[P, R], /) -> Offloaded[P, R]: ...
@overload
def offload(
    *, pool: Pool | None = None, timeout_s: float | None = None
) -> Callable[[Callable[P, R]], Offloaded[P, R]]: ...


def offload(
    function: Callable[..., Any] | None = None,
    /,
    *,
    pool: Pool | None = None,
    timeout_s: float | None = None,
) -> Any:
    """Return `function` so that its calls run in a child process; also a decorator.

    `function`, its values and its result go to the child by pickle: it stands at the top of a
    module. `timeout_s` (seconds, the pool's 300 by default) kills the child and raises
    `CallTimeout`.
    """
    if function is None:
        return lambda given: Offloaded(given, pool=pool, timeout_s=timeout_s)
    return Offloaded(function, pool=pool, timeout_s=timeout_s)
