"""Orders, tasks and shipments are the same in number, whatever is killed or cut, and when."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.tasks.states import TaskState
from tests.tasks.sites import ROOT, until
from tests.tasks_postgres.sites import PostgresSite, site_on

JOBS = "tests.tasks_postgres.jobs"
SCHEMA = "CREATE TABLE orders (id text PRIMARY KEY); CREATE TABLE shipped (id text, task text)"
BETWEEN = 4
"""Shipments between two deeds: whatever was hurt has got up again."""


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


class Place:
    """A shop, runners and a server, each of which can be hurt."""

    def __init__(self, site: PostgresSite, server: Postgres) -> None:
        self.site, self.server = site, server
        self.deeds: dict[str, Callable[[], None]] = {
            "runner": self.kill_runner,
            "shop": self.kill_shop,
            "server": self.kill_server,
            "cut": self.cut,
        }
        self._shops = 0
        with psycopg.connect(site.url) as connection:
            connection.execute(SCHEMA)
        site.home.wait(site.home.ledger)
        self.open_shop()
        for _ in range(2):
            site.runner(threads=4)

    def open_shop(self) -> None:
        self._shops += 1
        told = {"MERGEPOINT_BUS": json.dumps(self.site._bus(f"shop/{self._shops}"))}
        with (self.site.directory / "shop.log").open("ab") as log:
            self.shop = subprocess.Popen(
                [sys.executable, "-m", JOBS, f"shop{self._shops}"],
                cwd=ROOT,
                env={**os.environ, **told},
                stdout=log,
                stderr=log,
            )

    def close_shop(self) -> None:
        self.shop.kill()
        self.shop.wait()

    def kill_shop(self) -> None:
        self.close_shop()
        self.open_shop()

    def kill_runner(self) -> None:
        random.choice([r for r in self.site.runners if r.process.poll() is None]).kill()
        self.site.runner(threads=4)

    def kill_server(self) -> None:
        self.server.kill()
        self.server.start()

    def cut(self) -> None:
        """End every session, as an administrator does."""
        with psycopg.connect(self.site.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def ids(self, table: str) -> list[str]:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.site.url) as c:
            return [row[0] for row in c.execute(f"SELECT id FROM {table} ORDER BY id")]
        return []

    def wait_for_more(self) -> None:
        enough = len(self.ids("shipped")) + BETWEEN
        until(lambda: len(self.ids("shipped")) >= enough, f"{enough} are shipped")


def run(directory: Path, server: Postgres, seed: int, rounds: int) -> None:
    print(f"seed {seed}")
    random.seed(seed)
    with site_on(directory, server.create("shop"), JOBS) as site:
        place = Place(site, server)
        try:
            for _ in range(rounds):
                for name in random.sample(sorted(place.deeds), len(place.deeds)):
                    place.wait_for_more()
                    print(name)
                    place.deeds[name]()
            place.wait_for_more()
        finally:
            place.close_shop()
        ordered = place.ids("orders")
        until(lambda: set(place.ids("shipped")) >= set(ordered), "everything is shipped")

        assert place.ids("shipped") == ordered
        done = {TaskState.COMPLETED: len(ordered)}
        ledger = site.home.wait(site.home.ledger)

        def counted() -> dict[TaskState, int]:
            return {each.state: each.count for each in site.home.wait(ledger.counts)}

        until(lambda: counted() == done, f"{done} and nothing else is recorded")


def test_orders_and_shipments_agree_whatever_is_killed(
    tmp_path: Path, own_server: Postgres
) -> None:
    run(tmp_path, own_server, random.randrange(2**32), rounds=1)


@pytest.mark.soak
@pytest.mark.parametrize("nth", range(20))
def test_the_same_for_long(tmp_path: Path, own_server: Postgres, nth: int) -> None:
    del nth
    run(tmp_path, own_server, random.randrange(2**32), rounds=10)
