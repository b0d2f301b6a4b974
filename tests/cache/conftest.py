"""Apps asked in processes of their own, as an edge that would keep their answers asks."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

ASKED = Path(__file__).with_name("asked.py")
TIMEOUT_S = 120
Answers = list[dict[str, str]]
Ask = Callable[..., Answers]
_numbers = itertools.count(1)

TABLES = """
CREATE TABLE people (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE tickets (id integer PRIMARY KEY, title text NOT NULL, owner_id integer NOT NULL);
CREATE TABLE sessions (id text PRIMARY KEY, seen integer NOT NULL);
CREATE VIEW open_tickets AS SELECT t.id, t.title, p.name FROM tickets t JOIN people p
  ON p.id = t.owner_id;
INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO tickets VALUES (42, 'Slow', 1), (43, 'Broken', 2), (44, 'Ugly', 1);
INSERT INTO sessions VALUES ('s', 0);
"""


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Return a function that asks an app for paths; one that begins with ! is not to be kept."""

    def asking(
        source: str,
        paths: Sequence[str],
        *,
        databases: Mapping[str, str] | None = None,
        interface: str = "wsgi",
        ignore: Sequence[str] = (),
        beside: Sequence[str] = (),
    ) -> Answers:
        (tmp_path / "given.py").write_text(textwrap.dedent(source))
        urls = databases or {"main": f"sqlite:///{tmp_path}/main.db"}
        named = [{"name": n, "url": u, "ignore": list(ignore)} for n, u in urls.items()]
        told = {
            "module": "given", "interface": interface, "databases": json.dumps(named),
            "paths": list(paths), "beside": list(beside),
        }  # fmt: skip
        found = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
        done = subprocess.run(
            [sys.executable, str(ASKED), json.dumps(told)],
            cwd=tmp_path, env={"PYTHONPATH": found, "PATH": os.defpath},
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return asking


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    """Return a file with a few tables, where `ask` says that `main` is."""
    path = tmp_path / "main.db"
    with sqlite3.connect(path) as db:
        db.executescript(TABLES)
    db.close()
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def postgres(server: Postgres) -> str:
    """Return the address of a database with the same tables."""
    import psycopg

    url = server.create(f"cache{next(_numbers)}")
    with psycopg.connect(url) as db:
        db.execute(TABLES)
    return url


def tags(answers: Answers) -> list[list[str]]:
    """Return the tags of each answer; for one that is unknown that word, and why."""
    return [
        [one["x-mergepoint-tags"], one["x-mergepoint-unknown"]]
        if "x-mergepoint-unknown" in one
        else sorted(one["x-mergepoint-tags"].split(","))
        for one in answers
    ]


def reasons(answers: Answers) -> list[str]:
    """Return why each answer is unknown."""
    return [one.get("x-mergepoint-unknown", "") for one in answers]
