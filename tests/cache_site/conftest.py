"""Whole sites that keep answers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres
from mergepoint_testkit.sites import RunningSite, start_site

from .apps import TABLES, write_site

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str, str], RunningSite]]:
    """Start the site of the counters on a database; `change` alters its manifest."""
    started: list[RunningSite] = []

    def begin(url: str, change: str = "") -> RunningSite:
        manifest = write_site(tmp_path, url) + change
        (tmp_path / "mergepoint.toml").write_text(manifest.replace("{port}", "1"))
        site = RunningSite(tmp_path, 0, None, {})  # type: ignore[arg-type] - no process yet
        site.run("feed", "install")
        started.append(start_site(tmp_path, manifest))
        started[-1].wait_ready()
        return started[-1]

    yield begin
    for site in started:
        site.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the address of a database; of PostgreSQL with the table in it."""
    if request.param == "sqlite":
        return "sqlite:///kv.db"
    import psycopg

    server: Postgres = request.getfixturevalue("server")
    made = server.create(f"kv{next(_numbers)}")
    with psycopg.connect(made) as db:
        db.execute(TABLES)
    return made
