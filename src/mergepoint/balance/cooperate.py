"""A long loop that lets others run: in async code its event loop, in blocking code its threads.

Place:  apps, tasks -> [balance.cooperate]
Rule:   the time between two turns of the loop is bounded by one slice and one item.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
SLICE_MS = 10.0


class Cooperating(Generic[T]):
    """Items of an iterable, with a pause for everybody else after every slice."""

    def __init__(
        self, items: Iterable[T] | AsyncIterable[T], slice_ms: float, now_s: Callable[[], float]
    ) -> None:
        self._items = items
        self._slice_s = slice_ms / 1000
        self._now_s = now_s

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield every item; once a slice is used up, the loop runs whatever else is ready."""
        ends_s = self._now_s() + self._slice_s
        async for item in _async(self._items):
            yield item
            if self._now_s() >= ends_s:
                await asyncio.sleep(0)
                ends_s = self._now_s() + self._slice_s

    def __iter__(self) -> Iterator[T]:
        """Yield every item; once a slice is used up, other threads may have the interpreter."""
        if not isinstance(self._items, Iterable):
            raise TypeError("an async iterable needs `async for`")
        ends_s = self._now_s() + self._slice_s
        for item in self._items:
            yield item
            if self._now_s() >= ends_s:
                time.sleep(0)
                ends_s = self._now_s() + self._slice_s


async def _async(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item


def cooperate(
    items: Iterable[T] | AsyncIterable[T],
    *,
    slice_ms: float = SLICE_MS,
    now_s: Callable[[], float] = time.perf_counter,
) -> Cooperating[T]:
    """Return `items` for `async for` or `for`, giving way to others every `slice_ms`.

    What is done with one item is not interrupted: an item that takes longer than the slice holds
    the loop that long. `offload` is for those. Raises `ValueError` for a slice that is not above 0.
    """
    if not slice_ms > 0:
        raise ValueError(f"slice_ms is {slice_ms!r}; it must be above 0")
    return Cooperating(items, slice_ms, now_s)
