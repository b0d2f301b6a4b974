"""A runner that is to find out its threads takes as many tasks as keep it busy."""

from __future__ import annotations

import asyncio
import io
import json

from mergepoint.balance.measure import Meter
from mergepoint.tasks.runner.capacity import THREADS_AUTO_FIRST, Capacity
from mergepoint.tasks.runner.config import Config
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.tuning import WINDOW_S, Tuning

DECLARED = {"mail": {"queue": "mail", "runs_in": "thread"}}


class Passing:
    """Time in which tasks are run that wait for nine tenths of theirs, in all threads."""

    def __init__(self, meter: Meter, capacity: Capacity, windows: int) -> None:
        self._meter = meter
        self._capacity = capacity
        self._left = windows
        self._now_s = 0.0
        self.over = asyncio.Event()

    def monotonic_s(self) -> float:
        return self._now_s

    def unix_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        if not self._left:
            self.over.set()
            await asyncio.Event().wait()
        self._left -= 1
        self._now_s += seconds
        for _ in range(self._capacity.threads * 4):
            self._meter.add("mail", "thread", seconds / 40, seconds / 4)


def tuned(config: Config, windows: int) -> tuple[int, int, list[dict[str, object]]]:
    """Return threads and room after so many windows, and what was logged."""

    async def scene() -> tuple[int, int]:
        meter, capacity = Meter(), Capacity(config, DECLARED)
        clock = Passing(meter, capacity, windows)
        tuning = Tuning(config, capacity, meter, clock, Log(clock, "t/0", out))  # type: ignore[arg-type]
        running = asyncio.ensure_future(tuning.run())
        over = asyncio.ensure_future(clock.over.wait())
        await asyncio.wait([running, over], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        over.cancel()
        told = await tuning.say("t/0")
        assert told["tasks"]["threads"] == capacity.threads
        return capacity.threads, capacity.free(["mail"])

    out = io.StringIO()
    threads, room = asyncio.run(scene())
    return threads, room, [json.loads(line) for line in out.getvalue().splitlines()]


def test_threads_grow_with_waiting_and_no_process_begins_anew_for_it() -> None:
    config = Config(modules=("m",), threads=64, threads_auto=True)
    threads, room, logged = tuned(config, 10)

    assert threads == room == 8  # eight that compute a tenth each keep one interpreter busy
    assert [line["threads"] for line in logged] == [8]
    assert logged[0]["before"] == THREADS_AUTO_FIRST
    assert WINDOW_S > 0


def test_a_bound_is_a_bound() -> None:
    assert tuned(Config(modules=("m",), threads=5, threads_auto=True), 10)[:2] == (5, 5)


def test_a_number_in_the_manifest_stays() -> None:
    threads, room, logged = tuned(Config(modules=("m",), threads=4), 10)
    assert (threads, room, logged) == (4, 4, [])
