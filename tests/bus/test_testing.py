"""The site for tests: the same promises, time that is moved, faults that were asked for."""

from __future__ import annotations

import asyncio

import pytest
from mergepoint_testkit.bus import EngineSource, Promise, keep, promises

import mergepoint
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.contract import Engine, Limits
from mergepoint.bus.errors import BusFull, BusLost, BusRefused
from mergepoint.testing.virtual_time import VirtualTime


class TestingSource(EngineSource):
    """The engines of a site for tests, with time that leaps."""

    __test__ = False
    short_s = 1.0
    can_kill = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualTime()

    async def start(self) -> None:
        self.site = mergepoint.Site.testing(limits=self.limits)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return MemoryEngine("memory:", limits, self.clock, address=address, broker=self.site.broker)

    async def kill(self, engine: Engine) -> None:
        assert isinstance(engine, MemoryEngine)
        engine.vanish()


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_a_site_for_tests_keeps(promise: Promise) -> None:
    keep(promise, TestingSource())


def test_time_stands_until_it_is_moved(site) -> None:
    site.bus.publish("a", 1)
    before = site.clock.unix_s()
    site.run_until_idle()
    assert site.clock.unix_s() == before
    site.advance(hours=1, minutes=2, seconds=3)
    assert site.clock.unix_s() == before + 3723


def test_all_that_is_due_is_done_when_advance_returns(site) -> None:
    done: list[float] = []
    engine = site.wait(site.bus.engine)

    async def later() -> None:
        for _ in range(3):
            await site.clock.sleep(60)
            await engine.publish("a", site.bus._calls.message("a", 1))
            done.append(site.clock.monotonic_s())

    async def begin() -> None:
        site.kept = asyncio.ensure_future(later())

    site.wait(begin)
    site.advance(seconds=59)
    assert done == []
    site.advance(seconds=61)
    assert done == [60, 120]
    site.advance(hours=5)
    assert done == [60, 120, 180]


def test_time_may_be_moved_before_anything_was_used() -> None:
    with mergepoint.Site.testing() as site:
        site.advance(hours=1)
        site.bus.publish("a", 1)
        assert site.clock.monotonic_s() == 3600


def test_a_call_that_waits_lets_its_time_pass(site) -> None:
    assert not site.bus.queue("q").get(wait_s=1000)
    assert site.clock.monotonic_s() == 1000


def test_time_is_moved_from_async_code(site) -> None:
    async def main() -> None:
        await site.bus.queue("q").aput(1, delay_s=60)
        await site.aadvance(minutes=1)
        async with await site.bus.queue("q").aget() as job:
            assert job.value == 1

    asyncio.run(main())


def test_advance_waits_for_blocking_handlers(site) -> None:
    answered = []

    def answer(value):
        answered.append(value)
        return value

    site.bus.serve("app", answer)

    async def ask() -> None:
        engine = await site.bus.engine()
        message = site.bus._calls.message("app", 1)
        site.kept = asyncio.ensure_future(engine.request("app", message, timeout_s=5))

    site.wait(ask)
    site.run_until_idle()
    assert answered == [1]


def test_the_error_that_was_asked_for_is_raised(site) -> None:
    site.fail_next("put", BusFull("the disk is full"), times=2)
    for _ in range(2):
        with pytest.raises(BusFull, match="disk"):
            site.bus.queue("q").put(1)
    site.bus.queue("q").put(1)


def test_a_fault_of_an_unknown_operation_is_refused(site) -> None:
    with pytest.raises(BusRefused, match="publish"):
        site.fail_next("publsh")


def test_processes_beside_each_other_share_bus_and_time(site) -> None:
    other = mergepoint.Site.testing(address="wiki/0", beside=site)
    with other.bus.subscribe("a") as events:
        site.bus.publish("a", 1)
        assert next(iter(events)).source == "/test/0"
    site.advance(hours=1)
    assert other.clock.monotonic_s() == 3600


def test_a_process_that_crashed_leaves_the_others_alone(site) -> None:
    other = mergepoint.Site.testing(address="wiki/0", beside=site)
    site.bus.queue("q").put(1)
    held = site.bus.queue("q").get()
    site.crash_at("publish")
    with pytest.raises(BaseException, match="before publish"):
        site.bus.publish("a", 1)
    assert other.bus.queue("q").get().attempt == 2
    assert held.value == 1


def test_nothing_goes_wrong_that_was_not_asked_for(site) -> None:
    site.fail_next("put")
    site.duplicate_all(3)
    site.faults.clear()
    site.bus.queue("q").put(1)
    with site.bus.queue("q").get():
        pass
    assert not site.bus.queue("q").get()
    site.fail_next("put")
    with pytest.raises(BusLost):
        site.bus.queue("q").put(1)
