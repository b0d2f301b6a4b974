"""Nothing vanishes, nothing marked is doubled, whatever is killed or paused, and when."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from typing import Any

import pytest

from mergepoint.tasks.states import TaskState
from tests.tasks.askers import Asker
from tests.tasks.sites import TaskSite, until

LONG_PAUSE_S = 3.0
"""Longer than a lease: whoever is paused so long has lost what it held."""


def paused(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def hurt(site: TaskSite, chance: random.Random) -> None:
    """Do one cruel thing, and put a new process where one was killed."""
    deed = chance.choice(["kill", "kill", "hub", "pause", "long pause"])
    victim = chance.choice([r for r in site.runners if r.process.poll() is None])
    if deed == "kill":
        victim.kill()
        site.runner(threads=4)
    elif deed == "hub":
        site.hub.kill()
        site.start_hub()
    else:
        paused(victim.pid, 0.5 if deed == "pause" else LONG_PAUSE_S)


def run(site: TaskSite, asker: Asker, *, seed: int, tasks: int, deeds: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    path = str(site.directory / "effects.db")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE effects (task TEXT, key TEXT, n INTEGER)")
    for _ in range(2):
        site.runner(threads=4)
    handles: list[Any] = []
    for n in range(tasks):
        key = f"k{n % 8}"
        handles.append(asker.ask("booked", path, key, n, key=key, crashes_max=100, retries=100))
    for _ in range(deeds):
        time.sleep(chance.uniform(0.2, 0.8))
        hurt(site, chance)
    states = []
    for handle in handles:
        states.append(asker.ended(handle).state)

    assert states == [TaskState.COMPLETED] * tasks
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT task, key, n FROM effects ORDER BY rowid").fetchall()
    assert sorted(row[0] for row in rows) == sorted(handle.id for handle in handles)
    for key in {row[1] for row in rows}:
        order = [row[2] for row in rows if row[1] == key]
        assert order == sorted(order), f"{key} out of order, seed {seed}"


def test_killed_runners_and_a_killed_hub_lose_nothing_and_double_no_marked_effect(
    site: TaskSite, asker: Asker
) -> None:
    run(site, asker, seed=random.randrange(2**32), tasks=100, deeds=3)


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(20))
def test_the_same_for_long(site: TaskSite, asker: Asker, round_: int) -> None:
    run(site, asker, seed=random.randrange(2**32), tasks=2000, deeds=40)


@pytest.mark.soak
def test_a_thousand_deaths_between_an_effect_and_its_acknowledgement(
    site: TaskSite, asker: Asker
) -> None:
    site.runner(threads=4)
    path = str(site.directory / "effects.db")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE effects (task TEXT)")
    handles = [asker.ask("effect", path, crashes_max=1000) for _ in range(700)]
    until(lambda: len(site.lines("effect")) > 1400, "every task has died about once")
    for handle in handles:
        assert asker.ended(handle).state is TaskState.COMPLETED

    with sqlite3.connect(path) as database:
        rows = [row[0] for row in database.execute("SELECT task FROM effects")]
    assert sorted(rows) == sorted(handle.id for handle in handles)
