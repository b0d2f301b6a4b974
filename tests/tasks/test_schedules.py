"""Schedules: which moments are ticks, what is made up for, and that each tick fires once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from mergepoint.tasks.contract import Enqueued, Plan
from mergepoint.tasks.cron import cron, times_of
from mergepoint.tasks.errors import ScheduleRefused
from mergepoint.tasks.ledger.local import LocalLedger
from mergepoint.tasks.scheduler import Scheduler, spec_of
from mergepoint.tasks.spec import Missed, Schedule
from mergepoint.tasks.ticking import every, plan
from tests.tasks.ledgers import HandClock

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def told(line: str, zone: str, after: str, count: int) -> list[str]:
    times = islice(cron(line, zone)(at(after)), count)
    return [datetime.fromtimestamp(tick, UTC).strftime("%m-%d %H:%M") for tick in times]


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("15 3 * * *", "UTC", "2027-01-01T00:00", ["01-01 03:15", "01-02 03:15"]),
        ("15 3 * * *", BERLIN, "2027-01-01T00:00", ["01-01 02:15", "01-02 02:15"]),
        # 28 March 2027: 02:00 becomes 03:00. What would be at 02:30 is at 03:00, once.
        ("30 2 * * *", BERLIN, "2027-03-27T12:00", ["03-28 01:00", "03-29 00:30"]),
        # An hour that is left out costs an hourly line nothing: it goes by elapsed time.
        ("0 * * * *", BERLIN, "2027-03-28T00:30", ["03-28 01:00", "03-28 02:00"]),
        # 31 October 2027: 03:00 becomes 02:00. 02:30 comes twice and fires once.
        ("30 2 * * *", BERLIN, "2027-10-30T12:00", ["10-31 00:30", "11-01 01:30"]),
        # An hourly line fires in both of the hours that are called two.
        ("0 * * * *", BERLIN, "2027-10-30T23:30", ["10-31 00:00", "10-31 01:00", "10-31 02:00"]),
        # New York: 14 March and 7 November 2027.
        ("30 2 * * *", "America/New_York", "2027-03-14T00:00", ["03-14 07:00", "03-15 06:30"]),
        ("30 1 * * *", "America/New_York", "2027-11-06T12:00", ["11-07 05:30", "11-08 06:30"]),
        # Lord Howe Island turns its clock by half an hour: on 4 April 2027 01:45 comes twice.
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-02T16:00", ["04-03 14:45", "04-04 15:15"]),
        ("0 0 29 2 *", "UTC", "2027-01-01T00:00", ["02-29 00:00"]),
        ("0 12 * * 1-5", "UTC", "2027-01-01T13:00", ["01-04 12:00", "01-05 12:00"]),
    ],
)
def test_cron_lines_in_time_zones(line: str, zone: str, after: str, expected: list[str]) -> None:
    assert told(line, zone, after, len(expected)) == expected


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("line", ["30 2 * * *", "*/20 * * * *", "0 1-3 * * *"])
def test_ticks_of_a_year_only_ever_go_forward_and_are_what_a_restart_finds(
    zone: str, line: str
) -> None:
    times, start = cron(line, zone), at("2027-01-01T00:00")
    ticks = list(islice(times(start), 2000))
    assert ticks == sorted(set(ticks))
    for n in range(0, 1999, 97):
        assert next(iter(times(ticks[n]))) == ticks[n + 1]


@pytest.mark.parametrize("line", ["", "60 * * * *", "* * * *", "nonsense", "0 0 31 2 *"])
def test_a_line_that_means_nothing_is_refused(line: str) -> None:
    with pytest.raises(ScheduleRefused):
        times_of(Schedule(name="s", task="t", cron=line))


def test_a_time_zone_nobody_knows_is_refused() -> None:
    with pytest.raises(ScheduleRefused, match="Mars/Olympus"):
        cron("0 0 * * *", "Mars/Olympus")


def test_an_interval_has_the_same_ticks_on_every_machine() -> None:
    assert list(islice(every(60)(1000.0), 3)) == [1020.0, 1080.0, 1140.0]
    assert list(islice(every(60)(1020.0), 1)) == [1080.0]


@pytest.mark.parametrize(
    ("missed", "now", "expected"),
    [
        (Missed.ONE, 50, Plan(next_at=100)),
        (Missed.ONE, 100, Plan(fire=(100,), next_at=200)),
        (Missed.SKIP, 130, Plan(fire=(100,), next_at=200)),
        (Missed.SKIP, 170, Plan(skip_to=100, next_at=200)),
        (Missed.ONE, 970, Plan(fire=(900,), next_at=1000)),
        (Missed.ALL, 350, Plan(fire=(100, 200, 300), next_at=400)),
        (Missed.ALL, 990, Plan(fire=(500, 600, 700, 800, 900), next_at=1000)),
    ],
)
def test_missed_ticks_are_made_up_for_as_declared(
    missed: Missed, now: float, expected: Plan
) -> None:
    schedule = Schedule(name="s", task="t", every_s=100, missed=missed, catch_up_max=5)
    assert plan(schedule, every(100), 0.0, now) == expected


def test_a_clock_that_is_set_back_fires_nothing_twice() -> None:
    schedule = Schedule(name="s", task="t", every_s=100)
    assert plan(schedule, every(100), 900.0, 450.0) == Plan(next_at=1000.0)


class Fleet:
    """Instances of a scheduler on one ledger; the queue only counts."""

    def __init__(self, path: Path, count: int) -> None:
        self.clock = HandClock(1_800_000_000.0)
        self.ledgers = [LocalLedger(str(path), self.clock) for _ in range(count)]
        self.accepted = 0
        self.capabilities = SimpleNamespace(priority=True)
        self.instances = [
            Scheduler(self, ledger, self.clock, f"s/{n}")  # type: ignore[arg-type]
            for n, ledger in enumerate(self.ledgers)
        ]

    async def put(self, queue: str, puts: Sequence[object]) -> list[object]:
        self.accepted += len(puts)
        return []

    async def look(self, schedules: Sequence[Schedule], who: Sequence[int]) -> None:
        times = {each.name: times_of(each) for each in schedules}
        looks = [self.instances[n].look(schedules, times, "app") for n in who]
        await asyncio.gather(*looks)


def ticks_in(path: Path) -> list[float]:
    with sqlite3.connect(path) as database:
        return [row[0] for row in database.execute("SELECT tick FROM ledger_ticks ORDER BY tick")]


def names_in(path: Path) -> int:
    with sqlite3.connect(path) as database:
        return int(database.execute("SELECT count(*) FROM ledger_tasks").fetchone()[0])


def test_three_schedulers_fire_each_tick_once_and_go_on_when_the_first_dies(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    fleet = Fleet(path, 3)
    schedules = [Schedule(name="s", task="t", every_s=60)]

    async def story() -> None:
        await fleet.look(schedules, [0, 1, 2])
        for minute in range(60):
            fleet.clock.at += 60
            alive = [0, 1, 2] if minute < 20 else [1, 2]
            if minute == 40:
                fleet.clock.at -= 3600  # somebody sets the clock back
                await fleet.look(schedules, alive)
                fleet.clock.at += 3600
            await fleet.look(schedules, alive)

    asyncio.run(story())

    assert len(ticks_in(path)) == 60
    assert names_in(path) == 60
    assert fleet.accepted == 60


def test_a_scheduler_that_dies_between_its_claim_and_the_queue_loses_no_tick(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    fleet = Fleet(path, 2)
    schedule = Schedule(name="s", task="t", every_s=60)

    async def story() -> Enqueued:
        await fleet.look([schedule], [0])
        (row,) = await fleet.ledgers[0].schedule([schedule], "app")
        tick = next(iter(every(60)(row.last_tick)))
        fleet.clock.at = tick
        # The leader claims the tick and is gone before it puts anything.
        claim = (schedule.name, row.last_tick, tick, spec_of(schedule, tick))
        first = await fleet.ledgers[0].fire(*claim)
        assert len(first.releases) == 1
        assert (await fleet.ledgers[1].fire(*claim)).placed == ()
        await fleet.look([schedule], [1])
        fleet.clock.at += 10
        due = await fleet.ledgers[1].due()
        assert [release.id for release in due.releases] == [first.placed[0].id]
        return first

    asyncio.run(story())
    assert names_in(path) == 1


def test_a_schedule_that_is_retimed_begins_now_and_an_unchanged_one_goes_on() -> None:
    async def story() -> None:
        clock = HandClock()
        ledger = LocalLedger(":memory:", clock)
        first = Schedule(name="s", task="t", every_s=60)
        (before,) = await ledger.schedule([first], "app")
        clock.at += 1000
        (same,) = await ledger.schedule([first], "app")
        (retimed,) = await ledger.schedule([Schedule(name="s", task="t", every_s=61)], "app")

        assert same.last_tick == before.last_tick
        assert retimed.last_tick == clock.at

    asyncio.run(story())


def test_where_nothing_reads_cron_lines_the_ledger_decides_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fleet = Fleet(path, 2)
    schedule = Schedule(name="s", task="t", cron="*/10 * * * *", timezone=BERLIN)

    async def story() -> None:
        for _ in range(200):
            fleet.clock.at += 61
            # The second lives in an environment without cronsim.
            await fleet.instances[0].look([schedule], {"s": times_of(schedule)}, "app")
            await fleet.instances[1].look([schedule], {"s": None}, "app")
        with pytest.raises(ScheduleRefused):
            await fleet.ledgers[0].plan(Schedule(name="s", task="t", cron="x"), 0.0)
        alone = Fleet(tmp_path / "alone.db", 1)
        for _ in range(200):
            alone.clock.at += 61
            await alone.instances[0].look([schedule], {"s": None}, "app")

    asyncio.run(story())
    assert len(ticks_in(path)) == 20
    assert ticks_in(path) == ticks_in(tmp_path / "alone.db")


def test_a_tick_is_claimed_from_the_last_one_alone() -> None:
    async def story() -> None:
        clock = HandClock()
        ledger = LocalLedger(":memory:", clock)
        schedule = Schedule(name="s", task="t", every_s=60)
        (row,) = await ledger.schedule([schedule], "app")
        one, two = islice(every(60)(row.last_tick), 2)
        assert (await ledger.fire("s", row.last_tick, one, spec_of(schedule, one))).placed

        # Whoever has not seen that must not claim the next, or a tick between would be lost.
        late = await ledger.fire("s", row.last_tick, two, spec_of(schedule, two))
        assert late.placed == ()
        assert (await ledger.fire("s", one, two, spec_of(schedule, two))).placed

    asyncio.run(story())
