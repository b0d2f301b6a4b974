"""Nobody who was told of a write is served an older page: real sites, real frameworks, faults."""

from __future__ import annotations

import http.client
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from mergepoint_testkit.cache_history import Promise, judge
from mergepoint_testkit.sites import RunningSite

from .apps import KEYS
from .walkers import APPS, Walk

Begin = Callable[..., RunningSite]
SECONDS = 4.0
QUIET_S_MAX = 10.0


def get(port: int, path: str) -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Cache-Status", ""), answer.read().decode()


def add_from_outside(site: RunningSite, url: str, key: int) -> int:
    """Add one past every app, as psql or sqlite3 would; return the value."""
    sql = f"UPDATE kv SET v = v + 1 WHERE id = {key} RETURNING v"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(site.directory / "kv.db", timeout=20)) as db:
            value = db.execute(sql).fetchone()[0]
            db.commit()
            return int(value)
    import psycopg

    with psycopg.connect(url) as db:
        return int(db.execute(sql).fetchone()[0])


def come_to_rest(walk: Walk, site: RunningSite, url: str) -> None:
    """Read every page of every app until it shows what the database holds; note it at the end."""
    for key in range(1, KEYS + 1):
        value = add_from_outside(site, url, key)
        walk.history.write_begun("outside", str(key))
        deadline = time.monotonic() + QUIET_S_MAX
        for app in APPS:
            path = f"/{app}/kv/{key}"
            while (said := get(site.port, path))[2] != str(value):
                why = site.run("cache", "why", f"http://127.0.0.1:{site.port}{path}", "--json")
                late = time.monotonic() > deadline
                assert not late, f"{path} stays old: {said}, not {value}; {why.stdout}"
                time.sleep(0.02)
        walk.history.at_rest(str(key), value)
        for app in APPS:
            operation = walk.history.read_begun("after", str(key))
            walk.history.read(operation, int(get(site.port, f"/{app}/kv/{key}")[2]))


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(600.0, marks=pytest.mark.soak)])
def test_no_reader_sees_less_than_any_writer_was_told(
    begin: Begin, url: str, seconds: float
) -> None:
    site = begin(url)
    walk = Walk(site.port, random.randrange(1 << 30))
    walk.run(seconds)
    come_to_rest(walk, site, url)

    assert judge(walk.history.history(), Promise.STRICT) == []
    assert not walk.failed
    assert walk.writes > 20
    assert walk.statuses["hit"] > 100, walk.statuses


FAULTS = {
    "edge": lambda site: site.run("restart", "--edge"),
    "hub killed": lambda site: kill(site, "hub", signal.SIGKILL),
    "hub stopped": lambda site: pause(site, "hub"),
    "app rolled": lambda site: site.run("restart", "flask"),
}


def kill(site: RunningSite, service: str, number: int) -> None:
    for slot in site.status()["services"][service]["slots"]:
        os.kill(slot["pid"], number)


def pause(site: RunningSite, service: str) -> None:
    kill(site, service, signal.SIGSTOP)
    time.sleep(3.0)
    kill(site, service, signal.SIGCONT)


SHORT = {("edge", "postgresql"), ("hub killed", "sqlite"), ("hub stopped", "postgresql"),
         ("app rolled", "sqlite")}  # fmt: skip
"""Each fault once in `make test`; the others run with the soak."""


@pytest.mark.parametrize(
    ("fault", "url"),
    [
        pytest.param(fault, engine, marks=[] if (fault, engine) in SHORT else [pytest.mark.soak])
        for fault in FAULTS
        for engine in ("sqlite", "postgresql")
    ],
    indirect=["url"],
)
def test_faults_cost_hits_and_never_an_old_page(begin: Begin, url: str, fault: str) -> None:
    site = begin(url)
    walk = Walk(site.port, random.randrange(1 << 30))
    walk.run(SECONDS, beside=lambda: FAULTS[fault](site))
    come_to_rest(walk, site, url)

    assert judge(walk.history.history(), Promise.STRICT) == []
    assert walk.statuses["hit"] > 50, walk.statuses


def test_a_change_by_nobody_the_site_knows_is_seen_soon(begin: Begin, url: str) -> None:
    site = begin(url)
    for _ in range(3):
        get(site.port, "/flask/kv/1"), get(site.port, "/flask/kv/2")
    assert "hit" in get(site.port, "/flask/kv/1")[1]
    value = add_from_outside(site, url, 1)

    deadline = time.monotonic() + QUIET_S_MAX
    while get(site.port, "/flask/kv/1")[2] != str(value):
        assert time.monotonic() < deadline
    assert "hit" in get(site.port, "/flask/kv/2")[1], "another row's page was dropped"
