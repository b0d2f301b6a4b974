"""E2 and E3: restarts and releases under load lose nothing, and a bad release never serves.

Place:  64 connections, half of them kept alive -> a real site
Rule:   zero failed requests means zero.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from mergepoint_testkit.load import Tally, Target, during
from mergepoint_testkit.sites import RunningSite

SLOW_BOOT_S = 6.0
GAP_S_MAX = 0.5


def app(site: RunningSite) -> Target:
    return Target(site.port, "/app/")


def assert_nothing_lost(tally: Tally) -> None:
    assert tally.failures == 0, str(tally)
    assert tally.longest_gap_s < GAP_S_MAX, str(tally)
    assert tally.succeeded > 100


@pytest.mark.parametrize("processes", [1, 3])
def test_a_rolling_restart_with_a_slow_boot_loses_nothing(
    site_of: Callable[..., RunningSite], release, processes: int
) -> None:
    site = site_of(processes=processes)
    before = site.pids("app")
    release.set("boot_s", str(SLOW_BOOT_S if processes == 1 else 1.0))
    release.set("release", "two")

    done, tally = during(app(site), lambda: site.run("restart", "app"))

    assert done.returncode == 0
    assert_nothing_lost(tally)
    assert not set(before) & set(site.pids("app"))
    assert set(tally.bodies) == {b"one", b"two"}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("fault", "more", "said"),
    [
        ("raise", "", "this release cannot be imported"),
        ("ill", 'smoke = ["/"]', "500"),
    ],
)
def test_a_bad_release_never_takes_traffic(
    site_of: Callable[..., RunningSite], release, processes: int, fault: str, more: str, said: str
) -> None:
    site = site_of(processes=processes, more=more)
    before = site.pids("app")
    release.set(fault)
    release.set("release", "two")

    done, tally = during(app(site), lambda: site.run("restart", "app", check=False))

    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert_nothing_lost(tally)
    assert site.pids("app") == before
    assert set(tally.bodies) == {b"one"}


def test_a_bad_release_can_be_mended_and_released(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    release.set("raise")
    assert site.run("restart", "app", check=False).returncode == 1
    release.drop("raise")
    release.set("release", "two")

    done, tally = during(app(site), lambda: site.run("restart", "app"))

    assert done.returncode == 0
    assert_nothing_lost(tally)
    assert b"two" in tally.bodies


def test_a_changed_manifest_rolls_only_what_changed(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    before = site.pids("app")
    text = site.manifest.read_text()
    site.manifest.write_text(text.replace("processes = 2", "processes = 2\nthreads = 2"))

    done, tally = during(app(site), lambda: site.run("reload"))

    assert done.returncode == 0
    assert_nothing_lost(tally)
    assert not set(before) & set(site.pids("app"))


def test_a_broken_manifest_changes_nothing(site_of: Callable[..., RunningSite], release) -> None:
    site = site_of()
    before = site.pids("app")
    site.manifest.write_text(site.manifest.read_text().replace("wsgi =", "wsgo ="))

    done, tally = during(app(site), lambda: site.run("reload", check=False))

    assert done.returncode in (1, 78)
    assert 'did you mean "wsgi"' in done.stderr
    assert_nothing_lost(tally)
    assert site.pids("app") == before


def test_the_edge_is_replaced_without_closing_the_port(
    site_of: Callable[..., RunningSite], release
) -> None:
    site = site_of()
    before = site.status()["edge"]["pid"]

    done, tally = during(app(site), lambda: site.run("restart", "--edge"))

    assert done.returncode == 0
    assert_nothing_lost(tally)
    assert site.status()["edge"]["pid"] != before


def test_hup_reloads_without_loss(site_of: Callable[..., RunningSite], release) -> None:
    site = site_of()
    text = site.manifest.read_text()
    before = set(site.pids("app"))
    site.manifest.write_text(text.replace("processes = 2", "processes = 2\nthreads = 3"))

    def hup() -> None:
        site.process.send_signal(signal.SIGHUP)
        site.wait("rolled", lambda _: not before & set(site.pids("app")))

    _, tally = during(app(site), hup)

    assert_nothing_lost(tally)


def test_scaling_up_and_down_loses_nothing(site_of: Callable[..., RunningSite], release) -> None:
    site = site_of(processes="{ min = 1, max = 4, start = 2 }")

    def scale() -> None:
        site.run("scale", "app", "4")
        assert len(site.pids("app")) == 4
        site.run("scale", "app", "1")

    _, tally = during(app(site), scale)

    assert_nothing_lost(tally)
    assert len(site.pids("app")) == 1
