"""A whole site: the hub follows the database, edges ask at its socket, people by commands.

Place:  make test
Rule:   everything by what a user or an edge has: commands, the socket, an app's own file.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.feed_edge import Edge
from mergepoint_testkit.sites import RunningSite, running_site

from mergepoint.manifest.rundir import run_dir_of

MANIFEST = """
[site]
name = "acme"
listen = "127.0.0.1:{port}"

[apps.front]
static = "public"

[apps.desk]
wsgi = "desk:app"
at = "/desk"
tasks = "jobs"
processes = 1

[[databases]]
name = "main"
url = "sqlite:///app.db"
keys = { tickets = ["slug"] }

[[databases]]
name = "lost"
apps = ["front"]
url = "sqlite:///nowhere.db"
"""

DESK = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["MERGEPOINT_DATABASES"].encode()]
"""
JOBS = """
from pathlib import Path
import mergepoint
site = mergepoint.connect()
@site.feed.on("tickets", every_s=0.2)
def note(change):
    with Path("noted").open("a") as file:
        file.write(f"{change.op} {change.key.get('id')}\\n")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    directory = tmp_path_factory.mktemp("site")
    (directory / "public").mkdir()
    (directory / "public/index.html").write_text("hello")
    (directory / "desk.py").write_text(DESK)
    (directory / "jobs.py").write_text(JOBS)
    with sqlite3.connect(directory / "app.db") as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE tickets (id INTEGER PRIMARY KEY, slug TEXT)")
    db.close()
    with running_site(directory, MANIFEST) as running:
        yield running


def feed_socket(site: RunningSite) -> Path:
    return run_dir_of(site.directory / ".mergepoint", os.environ, os.geteuid()) / "feed.sock"


def told(site: RunningSite, *arguments: str, check: bool = True) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(site.run("feed", *arguments, "--json", check=check).stdout)
    return parsed


def write(site: RunningSite, sql: str) -> None:
    with sqlite3.connect(site.directory / "app.db", timeout=30) as db:
        db.execute(sql)
    db.close()


def test_a_site_goes_from_no_log_to_a_followed_database(site: RunningSite) -> None:
    printed = site.run("feed", "install", "main", "--sql").stdout
    assert "CREATE TRIGGER" in printed
    before = told(site, "audit", "main", check=False)["databases"]["main"]
    assert [finding["fault"] for finding in before["findings"]] == ["missing"]

    assert told(site, "install", "main")["ran"] is True
    assert told(site, "install", "main")["databases"] == {"main": []}
    after = told(site, "audit", "main")["databases"]["main"]
    assert after == {"tables": {"tickets": ["id", "slug"]}, "findings": []}

    async def scene() -> None:
        edge = Edge()
        hello = await edge.connect(feed_socket(site))
        assert hello["sources"] == ["main", "lost"]
        first = await edge.pull("main", "lost")
        while "error" in first["main"]:  # its last look at the file was before the log was there
            first = await edge.pull("main", "lost")
        assert first["main"]["flush"]
        assert first["main"]["tables"] == {"tickets": ["id", "slug"]}
        assert "nowhere.db" in first["lost"]["error"]
        write(site, "INSERT INTO tickets VALUES (1, 'a b')")
        assert (await edge.barrier())["main"]["tags"] == [
            "main/tickets", "main/tickets:id=1", "main/tickets:slug=a%20b",
        ]  # fmt: skip
        await edge.close()

    asyncio.run(asyncio.wait_for(scene(), 60))
    status = told(site, "status")
    assert status["sources"]["main"]["at"] > 0
    assert "nowhere.db" in status["sources"]["lost"]["error"]


def noted(site: RunningSite) -> list[int]:
    """Return which rows the app's handler was called with, but for those of other tests."""
    file = site.directory / "noted"
    lines = file.read_text().splitlines() if file.exists() else []
    numbers = [int(line.split()[1]) for line in lines if line.startswith("insert ")]
    return [number for number in numbers if number > 100]


def test_an_app_is_told_its_databases_and_called_with_what_changed(site: RunningSite) -> None:
    told(site, "install", "main")
    url = f"http://127.0.0.1:{site.port}/desk/"
    with urllib.request.urlopen(url, timeout=30) as answer:
        databases = json.load(answer)
    number = 100
    while not noted(site):  # it begins at its first turn
        number += 1
        write(site, f"INSERT INTO tickets VALUES ({number}, 'x')")
    last = number + 1
    write(site, f"INSERT INTO tickets VALUES ({last}, 'last')")
    while last not in noted(site):
        time.sleep(0.05)
    numbers = list(dict.fromkeys(noted(site)))

    assert databases == [
        {"name": "main", "url": f"sqlite:///{site.directory}/app.db", "ignore": ["django_session"]}
    ]
    assert numbers == list(range(numbers[0], last + 1))


def test_a_database_that_is_not_named_is_told_of(site: RunningSite) -> None:
    done = site.run("feed", "audit", "other", check=False)

    assert done.returncode == 2
    assert "databases: main, lost" in done.stderr


def test_removing_is_complete_and_may_be_repeated(site: RunningSite) -> None:
    told(site, "install", "main")

    assert told(site, "remove", "main")["databases"]["main"]
    assert told(site, "remove", "main")["databases"] == {"main": []}
