"""Promises kept side by side: on a real server each of them waits far more than it computes.

Place:  tests/<engine> -> [bus.lanes] -> bus.promise
Rule:   a promise has a loop, a source and a lane to itself; each test tells its own outcome.

    @pytest.fixture(scope="module")
    def lanes(request, server):
        with running_lanes(request, lambda _lane: MySource(server)) as running:
            yield running

    @pytest.mark.parametrize("promise", promises(), ids=str)
    def test_the_engine_keeps(promise, lanes):
        lanes.keep(promise)
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from mergepoint_testkit.bus.promise import Promise, keep
from mergepoint_testkit.bus.source import EngineSource

LANES = 4
"""Promises at once. They share one core at the most: what computes a second takes four."""
ALONE = ("floods",)
"""Themes that compute all the time: nothing else runs beside them, and they come last."""
MakeSource = Callable[[int], EngineSource]
"""Makes a source for one promise, told the number of its lane: 0 to `LANES` - 1."""


class Lanes:
    """Begins with the promises that will be asked for, in that order, a few at a time."""

    def __init__(self, make_source: MakeSource, wanted: Iterable[Promise]) -> None:
        self._make_source = make_source
        self._numbers = itertools.count()
        self._lane = threading.local()
        self._pool = ThreadPoolExecutor(LANES, "lane", initializer=self._enter)
        self._coming: dict[str, Future[None]] = {}
        for promise in wanted:
            if not _is_alone(promise):
                self._begin(promise)

    def keep(self, promise: Promise) -> None:
        """Pass, fail or skip as the promise did; one that is kept alone begins and ends now."""
        if promise.name not in self._coming:
            wait(self._coming.values())
            self._begin(promise)
        self._coming[promise.name].result()

    def close(self) -> None:
        """Begin no more, and return when nothing runs."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, promise: Promise) -> None:
        self._coming[promise.name] = self._pool.submit(self._keep, promise)

    def _enter(self) -> None:
        self._lane.number = next(self._numbers)

    def _keep(self, promise: Promise) -> None:
        keep(promise, self._make_source(self._lane.number))


@contextlib.contextmanager
def running_lanes(request: pytest.FixtureRequest, make_source: MakeSource) -> Iterator[Lanes]:
    """Give lanes for the promises that the tests of this module, as they were selected, ask for."""
    lanes = Lanes(make_source, _wanted(request))
    try:
        yield lanes
    finally:
        lanes.close()


def _wanted(request: pytest.FixtureRequest) -> Iterator[Promise]:
    for item in request.session.items:
        if (
            isinstance(item, pytest.Function)
            and item.path == request.path
            and request.fixturename in item.fixturenames
        ):
            promise = item.callspec.params.get("promise") if hasattr(item, "callspec") else None
            if isinstance(promise, Promise):
                yield promise


def _is_alone(promise: Promise) -> bool:
    return promise.name.partition(".")[0] in ALONE
