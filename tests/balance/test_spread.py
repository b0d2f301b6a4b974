"""A function over many items in many processes: order, back-pressure, errors, progress."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from mergepoint_testkit import work

from mergepoint.balance import Failed, Pool, spread


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def test_results_keep_the_order_of_their_items(pool: Pool) -> None:
    assert list(spread(work.spin_unless_even, range(20), pool=pool)) == list(range(20))


def test_without_order_every_result_comes_once(pool: Pool) -> None:
    found = list(spread(work.spin_unless_even, range(20), pool=pool, ordered=False))
    assert sorted(found) == list(range(20))


def test_async_code_gets_the_same(pool: Pool) -> None:
    async def collected(ordered: bool) -> list[object]:
        results = spread(work.square, range(30), pool=pool, ordered=ordered)
        return [result async for result in results]

    assert asyncio.run(collected(True)) == [n * n for n in range(30)]
    assert sorted(asyncio.run(collected(False))) == [n * n for n in range(30)]


def test_items_are_taken_only_as_far_ahead_as_asked(pool: Pool) -> None:
    taken = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    results = iter(spread(work.square, endless(), pool=pool, ahead=3))
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) <= 5 + 3
    results.close()


def test_the_first_error_ends_it_and_later_work_is_stopped(pool: Pool) -> None:
    results = iter(spread(work.fail_at_three, range(100), pool=pool))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(spread(work.square, [5], pool=pool)) == [25]


def test_errors_can_be_results(pool: Pool) -> None:
    found = list(spread(work.fail_at_three, range(5), pool=pool, errors="yield"))
    assert [n for n in found if not isinstance(n, Failed)] == [0, 1, 2, 4]
    [failed] = [n for n in found if isinstance(n, Failed)]
    assert failed.item == 3
    assert isinstance(failed.error, ValueError)


def test_progress_counts_every_item(pool: Pool) -> None:
    told: list[int] = []
    list(spread(work.square, range(7), pool=pool, on_progress=told.append))
    assert told == [1, 2, 3, 4, 5, 6, 7]


def test_two_processes_are_used_and_ended_when_it_owns_them() -> None:
    pids = set(spread(work.pid, range(40), processes=2))
    assert len(pids) == 2


def test_nothing_to_do_is_nothing_done(pool: Pool) -> None:
    assert list(spread(work.square, [], pool=pool)) == []


def test_a_wrong_setting_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match='"raise" or "yield"'):
        spread(work.square, [1], errors="ignore")
