"""Schedules in processes: who is killed at a tick loses none, and a wrong one stops no other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from mergepoint.core.clock import SystemClock
from mergepoint.tasks.announcing import Announcement, announced
from mergepoint.tasks.contract import TaskRecord
from tests.tasks.sites import TaskSite, until

EVERY_S = 0.25
KILLS = 16


class Clocks:
    """Forks of a scheduler."""

    def __init__(self, site: TaskSite) -> None:
        document = json.dumps(site._bus("clock/0"))
        program = [sys.executable, "-m", "tests.tasks.clock_process", document, str(EVERY_S)]
        self._server = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.alive: list[int] = []

    def start(self) -> None:
        self.alive.append(self._ask("start"))

    def kill_oldest(self) -> None:
        pid = self.alive.pop(0)
        os.kill(pid, signal.SIGKILL)
        assert self._ask(f"wait {pid}") == -signal.SIGKILL

    def close(self) -> None:
        while self.alive:
            self.kill_oldest()
        self._server.communicate(timeout=30)

    def _ask(self, line: str) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@pytest.fixture
def clocks(site: TaskSite) -> Iterator[Clocks]:
    made = Clocks(site)
    yield made
    made.close()


def recorded(site: TaskSite) -> list[TaskRecord]:
    async def work() -> list[TaskRecord]:
        return await (await site.home.ledger()).records(name="tick", limit=1000)

    return site.home.wait(work)


def ticks_of(records: list[TaskRecord]) -> list[int]:
    """Return the number of every record's tick, counted in intervals since 1970."""
    milliseconds = [int(record.id.replace("-", "")[:12], 16) for record in records]
    return [round(ms / (EVERY_S * 1000)) for ms in milliseconds]


def queued(site: TaskSite, count: int) -> list[str]:
    """Take that many messages of tasks, and show that there are no more."""
    ids: list[str] = []

    async def work() -> None:
        engine = await site.home.engine()
        while len(ids) < count:
            leases = await engine.take(
                ["tasks.default"], worker="w", limit=100, lease_s=60, wait_s=30
            )
            ids.extend(lease.message.id.partition(".")[0] for lease in leases)
            await engine.ack(leases)
        rest = await engine.take(["tasks.default"], worker="w", limit=1, lease_s=60, wait_s=0)
        assert rest == []

    site.home.wait(work)
    return ids


def test_a_scheduler_that_is_killed_at_its_ticks_fires_each_of_them_once(
    site: TaskSite, clocks: Clocks
) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    clocks.start()
    until(lambda: recorded(site), "a first tick")
    for number in range(KILLS):
        if number % 2:
            clocks.start()  # every other time somebody else is there, and tries the same tick
        now = SystemClock().unix_s()
        tick = (now // EVERY_S + 1) * EVERY_S
        time.sleep(max(0.0, tick - now + chance.uniform(-0.004, 0.012)))  # right around the tick
        clocks.kill_oldest()
        if not clocks.alive:
            clocks.start()
    seen = len(recorded(site))
    until(lambda: len(recorded(site)) > seen + 1, "ticks after the last kill")
    while clocks.alive:
        clocks.kill_oldest()

    records = recorded(site)
    ticks = ticks_of(records)
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    assert len(ticks) >= KILLS // 2
    assert sorted(queued(site, len(records))) == sorted(record.id for record in records)


def test_a_wrong_schedule_stops_no_other_and_says_why(site: TaskSite) -> None:
    runner = site.runner(
        schedules=[
            {"task": "add", "cron": "61 * * * *"},
            {"task": "nobody.knows", "cron": "* * * * *"},
            {"task": "add", "cron": "0 3 * * *", "timezone": "Mars/Olympus"},
            {"task": "add", "every_s": 0.2},
        ]
    )

    def fired() -> bool:
        async def work() -> int:
            return len(await (await site.home.ledger()).records(name="add"))

        return site.home.wait(work) >= 2

    until(fired, "the good schedule fired twice")
    failed = {line["schedule"]: line["error"] for line in runner.lines("schedule failed")}
    assert set(failed) == {"add:61 * * * *", "add:0 3 * * *", "nobody.knows:* * * * *"}
    assert "time zone 'Mars/Olympus' is not known" in failed["add:0 3 * * *"]
    assert "is no task of this app" in failed["nobody.knows:* * * * *"]

    async def told() -> Announcement | None:
        return await announced(await site.home.engine(), "test")

    said = site.home.wait(told)
    assert said is not None
    assert said.failed == failed
    assert [(one.task, one.every_s) for one in said.schedules] == [("add", 0.2)]
    add = said.task("add")
    assert add is not None
    assert add.queue == "test"
