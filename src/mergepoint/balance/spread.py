"""A function over an iterable in many processes: an iterator with order, back-pressure and errors.

Place:  apps, tasks -> [balance.spread] -> balance.pool
Rule:   at most `ahead` items are under way or done and not taken; what is left behind is stopped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mergepoint.balance.pool import Call, Pool

T = TypeVar("T")
R = TypeVar("R")
AHEAD_FACTOR = 4
"""Items under way for each process: enough that none waits for the reader."""


@dataclass(frozen=True)
class Failed(Generic[T]):
    """Stands for the result of an item whose call failed, with `errors="yield"`."""

    item: T
    error: BaseException


@dataclass
class _Under(Generic[T]):
    item: T
    call: Call


class Spread(Generic[T, R]):
    """Results of a function over items; iterate once, with `for` or `async for`."""

    def __init__(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        pool: Pool,
        *,
        owns_pool: bool,
        ordered: bool,
        ahead: int,
        yields_errors: bool,
        on_progress: Callable[[int], None] | None,
        timeout_s: float | None,
    ) -> None:
        self._function = function
        self._items = iter(items)
        self._pool = pool
        self._owns_pool = owns_pool
        self._ordered = ordered
        self._ahead = ahead
        self._yields_errors = yields_errors
        self._on_progress = on_progress
        self._timeout_s = timeout_s
        self._under: deque[_Under[T]] = deque()
        self._done = 0

    def __iter__(self) -> Iterator[R | Failed[T]]:
        """Yield results; raise the first error unless errors are yielded."""
        try:
            while self._fill():
                wait([under.call.future for under in self._next()], return_when=FIRST_COMPLETED)
                yield from self._finished()
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[R | Failed[T]]:
        """Yield results without holding the loop; else as `for` does."""
        try:
            while self._fill():
                futures = [asyncio.wrap_future(under.call.future) for under in self._next()]
                await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
                for future in futures:
                    if future.done() and not future.cancelled():
                        future.exception()  # looked at here; told below, from the call itself
                for result in self._finished():
                    yield result
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Stop what is under way; a second call does nothing."""
        while self._under:
            self._under.pop().call.abandon()
        if self._owns_pool:
            self._pool.close()

    def _fill(self) -> bool:
        """Begin calls until `ahead` are under way; tell whether there is anything to wait for."""
        while len(self._under) < self._ahead:
            try:
                item = next(self._items)
            except StopIteration:
                break
            call = self._pool.submit(self._function, (item,), timeout_s=self._timeout_s)
            self._under.append(_Under(item, call))
        return bool(self._under)

    def _next(self) -> list[_Under[T]]:
        return [self._under[0]] if self._ordered else list(self._under)

    def _finished(self) -> Iterator[R | Failed[T]]:
        """Yield what is done and next in order."""
        for under in self._next():
            if not under.call.future.done():
                continue
            self._under.remove(under)
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(self._done)
            yield self._result(under)

    def _result(self, under: _Under[T]) -> Any:
        error = under.call.future.exception()
        if error is None:
            return under.call.future.result()
        if self._yields_errors and isinstance(error, Exception):
            return Failed(under.item, error)
        raise error


def spread(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    processes: int = 0,
    pool: Pool | None = None,
    ordered: bool = True,
    ahead: int = 0,
    errors: str = "raise",
    on_progress: Callable[[int], None] | None = None,
    timeout_s: float | None = None,
) -> Spread[T, R]:
    """Return an iterator over `function(item)` of every item, computed in `processes` children.

    `processes` is the machine's CPUs by default; or give a `pool` to share. At most `ahead` items
    (4 for each process) are taken from `items` before results are. Results keep the order of the
    items unless `ordered` is false. `errors` is "raise" or "yield" (`Failed`). `on_progress` is
    told how many are done. Leaving the loop stops what is under way. Raises `ValueError`.
    """
    if errors not in ("raise", "yield"):
        raise ValueError(f'errors is {errors!r}; it is "raise" or "yield"')
    used = pool or Pool(processes)
    return Spread(
        function,
        items,
        used,
        owns_pool=pool is None,
        ordered=ordered,
        ahead=ahead or used.processes * AHEAD_FACTOR,
        yields_errors=errors == "yield",
        on_progress=on_progress,
        timeout_s=timeout_s,
    )
