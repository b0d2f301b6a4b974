"""Threads by what is measured: as few as keep the interpreter busy, as many as waiting asks for."""

from __future__ import annotations

import math

import pytest

from mergepoint.balance.threads import CALLS_MIN, Window, decide


def window(threads: int, cpu_share: float, *, demand: float = 1000.0) -> Window:
    """Return what ten seconds show of tasks that compute this share of their time alone.

    One interpreter gives all threads together one CPU; what they wait for it counts as wall time.
    """
    working = min(float(threads), demand)
    busy = min(1.0, working * cpu_share)
    return Window(elapsed_s=10.0, calls=1000, cpu_s=10 * busy, wall_s=10 * working)


@pytest.mark.parametrize(
    ("cpu_share", "wanted"), [(1.0, 2), (0.5, 2), (0.1, 8), (0.02, 40), (0.001, 64)]
)
@pytest.mark.parametrize("first", [1, 4, 64])
def test_from_anywhere_it_ends_where_the_interpreter_is_just_busy(
    cpu_share: float, wanted: int, first: int
) -> None:
    threads = first
    for _ in range(20):
        threads = decide(threads, window(threads, cpu_share), least=1, most=64)
    assert decide(threads, window(threads, cpu_share), least=1, most=64) == threads
    # One CPU is shared by all: where it is full already, wall time says nothing any more.
    assert wanted / 2 <= threads <= math.ceil(1.5 * wanted)


def test_nothing_grows_where_nobody_waits_for_a_thread() -> None:
    assert decide(8, window(8, 0.1, demand=2.0), least=1, most=64) == 8


def test_chance_decides_nothing() -> None:
    few = Window(elapsed_s=10.0, calls=CALLS_MIN - 1, cpu_s=0.1, wall_s=40.0)
    assert decide(4, few, least=1, most=64) == 4
    assert decide(4, Window(elapsed_s=0.0, calls=99, cpu_s=0, wall_s=0), least=1, most=64) == 4


def test_bounds_hold_whatever_is_measured() -> None:
    assert decide(4, window(4, 0.001), least=1, most=6) == 6
    assert decide(4, window(4, 1.0), least=3, most=6) == 3
    assert decide(100, window(4, 0.5), least=1, most=6) == 6


def test_two_interpreters_are_busy_twice() -> None:
    both = Window(elapsed_s=10.0, calls=100, cpu_s=10.0, wall_s=40.0, interpreters=2)
    assert decide(4, both, least=2, most=64) == 6
