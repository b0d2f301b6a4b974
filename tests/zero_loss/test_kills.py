"""E4: kill -9 of any process costs at most what it held; idempotent requests not even that.

Place:  load -> a real site whose processes are shot
Rule:   every kill is SIGKILL; nothing is told beforehand.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import psutil
import pytest
from mergepoint_testkit.load import Target, during
from mergepoint_testkit.sites import RunningSite, end_site, start_site

EDGE_BACK_S_MAX = 1.0


def workers(site: RunningSite) -> list[int]:
    """Return the pids of the app's slots and of their children."""
    pids = site.pids("app")
    return pids + [c.pid for p in pids for c in psutil.Process(p).children(recursive=True)]


@pytest.mark.parametrize("seconds", [15.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_killing_workers_at_random_fails_no_idempotent_request(
    site_of: Callable[..., RunningSite], release, seconds: float
) -> None:
    site = site_of(processes=3)
    chance = random.Random(20261121)
    killed = []

    def shoot() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            alive = workers(site)
            if len(site.pids("app")) >= 2:
                killed.append(chance.choice(alive))
                os.kill(killed[-1], signal.SIGKILL)
            time.sleep(chance.uniform(0.3, 1.0))

    _, tally = during(Target(site.port, "/app/"), shoot, after_s=2)

    assert len(killed) >= seconds / 4
    assert tally.failures == 0, str(tally)


def test_a_killed_only_worker_is_waited_for(site_of: Callable[..., RunningSite], release) -> None:
    """One worker, killed: its requests wait in the edge's queue until the next one answers."""
    site = site_of(processes=1)

    _, tally = during(
        Target(site.port, "/app/"), lambda: os.kill(site.pids("app")[0], signal.SIGKILL), after_s=4
    )

    assert tally.failures == 0, str(tally)


def test_a_killed_edge_is_back_on_the_same_port_within_a_second(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    before = site.status()["edge"]["pid"]

    _, tally = during(
        Target(site.port, "/app/"), lambda: os.kill(before, signal.SIGKILL), after_s=3
    )

    assert site.status()["edge"]["pid"] != before
    assert tally.longest_gap_s < EDGE_BACK_S_MAX, str(tally)
    assert tally.failures <= 64, str(tally)  # what the dead edge held, nothing more


def test_the_site_outlives_its_supervisor_and_the_next_start_adopts_it(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    before = site.status()
    pids = site.pids("app")

    def kill_and_start_again() -> RunningSite:
        site.process.kill()
        site.process.wait(5)
        time.sleep(2)
        again = start_site(site.directory, site.manifest.read_text(), port=site.port)
        again.wait_ready()
        return again

    again, tally = during(Target(site.port, "/app/"), kill_and_start_again)
    try:
        assert tally.failures == 0, str(tally)
        assert again.pids("app") == pids
        assert again.status()["edge"]["pid"] == before["edge"]["pid"]
    finally:
        end_site(again)


def test_the_next_start_replaces_what_the_manifest_changed_meanwhile(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    pids = site.pids("app")

    def kill_change_and_start_again() -> RunningSite:
        site.process.kill()
        site.process.wait(5)
        text = site.manifest.read_text().replace("processes = 2", "processes = 2\nthreads = 2")
        again = start_site(site.directory, text, port=site.port)
        again.wait_ready()
        again.wait("rolled", lambda _: not set(again.pids("app")) & set(pids))
        return again

    again, tally = during(Target(site.port, "/app/"), kill_change_and_start_again)
    try:
        assert tally.failures == 0, str(tally)
        assert len(again.pids("app")) == 2
        again.wait("rid of the old", lambda _: not any(map(psutil.pid_exists, pids)), seconds=20)
    finally:
        end_site(again)
