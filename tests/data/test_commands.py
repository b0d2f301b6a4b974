"""`mergepoint db`, `sql` and `migrate`, as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mergepoint.cli.commands.db import shell_of
from mergepoint.data.config import Database

MANIFEST = """
[site]
name = "shop"

[[databases]]
name = "main"
url = "sqlite:///{file}"

[apps.tickets]
at = "/"
wsgi = "app:application"
"""
APP = """
def application(environ, start):
    start("200 OK", [])
    return [b""]
"""
STEP = """
revision = "0001"
down_revision = None
from alembic import op

def upgrade():
    op.execute("CREATE TABLE tickets (id integer primary key, title text)")
"""
QUERIES = """
-- name: ticket(id: int) -> optional
SELECT * FROM tickets WHERE id = :id;
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "mergepoint.toml").write_text(MANIFEST.format(file=tmp_path / "shop.db"))
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "migrations/versions/0001_begin.py").write_text(STEP)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/tickets.sql").write_text(QUERIES)
    return tmp_path


def run(site: Path, *words: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mergepoint", *words],
        cwd=site,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_migrations_are_looked_at_run_and_then_up_to_date(site: Path) -> None:
    assert "tickets: 1 waiting" in run(site, "migrate", "--check", code=1)
    assert "tickets: 1 done" in run(site, "migrate", "tickets")
    told = json.loads(run(site, "migrate", "--check", "--json"))
    assert told["apps"][0]["state"] == "up to date"
    assert "did you mean" in run(site, "migrate", "ticket", code=2)
    with sqlite3.connect(site / "shop.db") as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (0,)


def test_sql_methods_are_listed_checked_and_typed(site: Path) -> None:
    assert "ticket(id)" in run(site, "sql")
    assert "tickets.sql:2: ticket: no such table: tickets" in run(site, "sql", "check", code=78)
    run(site, "migrate")
    assert "1 SQL method in order" in run(site, "sql", "check")
    told = json.loads(run(site, "sql", "list", "--json"))
    assert told["methods"][0]["shape"] == "optional"
    assert "def ticket(self, id: int, *" in run(
        site, "sql", "stubs", "queries", "--class", "Tickets"
    )
    (site / "queries/bad.sql").write_text("-- name: x() -> rows\nSELECT :y;\n")
    assert "bad.sql:2: :y is no parameter of x; there are none" in run(site, "sql", code=78)


def test_databases_are_listed_without_their_passwords(site: Path) -> None:
    told = '[{"name": "far", "url": "postgresql://me:hunter2@127.0.0.1:1/x"}]'
    listed = run(site, "db", "list", MERGEPOINT_DATABASES=told)

    assert "hunter2" not in listed
    assert "postgresql://me:***@127.0.0.1:1/x" in listed
    assert "answers" in run(site, "db", "list")
    assert "Nothing to say" in run(site, "db", "advice")


def test_a_password_is_never_an_argument_of_the_shell() -> None:
    url = "postgresql://me:s%40cret@db.example:5433/shop?sslmode=require"
    program, arguments, environment = shell_of(Database("main", url))

    assert (program, arguments) == ("psql", [])
    assert environment == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "s@cret",
        "PGDATABASE": "shop",
        "PGSSLMODE": "require",
    }


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_the_shell_reaches_the_database(site: Path, empty_postgres: str) -> None:
    told = json.dumps([{"name": "pg", "url": empty_postgres}])
    done = subprocess.run(
        [sys.executable, "-m", "mergepoint", "db", "shell", "pg"],
        cwd=site,
        env={**os.environ, "MERGEPOINT_DATABASES": told},
        input="SELECT 40 + 2;\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "42" in done.stdout
