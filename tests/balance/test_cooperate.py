"""A long loop shares: others get their turn after every slice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mergepoint.balance import cooperate


class Ticks:
    """A clock that moves by one millisecond each time somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def turns_of_others(slice_ms: float, items: int) -> int:
    async def run() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.create_task(other())
        seen = [n async for n in cooperate(range(items), slice_ms=slice_ms, now_s=Ticks())]
        others.cancel()
        assert seen == list(range(items))
        return turns

    return asyncio.run(run())


def test_others_have_a_turn_after_every_slice() -> None:
    assert turns_of_others(slice_ms=10, items=1000) >= 80


def test_a_longer_slice_gives_fewer_turns() -> None:
    assert turns_of_others(slice_ms=100, items=1000) < turns_of_others(slice_ms=10, items=1000) / 5


def test_async_iterables_are_taken_too() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async def run() -> list[int]:
        return [n async for n in cooperate(numbers())]

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_blocking_code_gets_every_item() -> None:
    assert list(cooperate(range(1000), slice_ms=1, now_s=Ticks())) == list(range(1000))


@pytest.mark.parametrize("slice_ms", [0, -1, float("nan")])
def test_a_slice_without_length_is_refused(slice_ms: float) -> None:
    with pytest.raises(ValueError, match="slice_ms"):
        cooperate([], slice_ms=slice_ms)
