"""`mergepoint db`, `sql` and `migrate`, as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from mergepoint.cli.commands.db import shell_of
from mergepoint.cli.main import main
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


class Run(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


@pytest.fixture
def run(site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give the command line, in this process: starting one for each command takes its time."""
    monkeypatch.chdir(site)

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        assert ended.value.code == code, told.out + told.err
        assert "Traceback" not in told.err
        return told.out if "--json" in words else told.out + told.err

    return run


def test_migrations_are_looked_at_run_and_then_up_to_date(site: Path, run: Run) -> None:
    assert "tickets: 1 waiting" in run("migrate", "--check", code=1)
    assert "tickets: 1 done" in run("migrate", "tickets")
    told = json.loads(run("migrate", "--check", "--json"))
    assert told["apps"][0]["state"] == "up to date"
    assert "did you mean" in run("migrate", "ticket", code=2)
    with sqlite3.connect(site / "shop.db") as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (0,)


def test_sql_methods_are_listed_checked_and_typed(site: Path, run: Run) -> None:
    assert "ticket(id)" in run("sql")
    assert "tickets.sql:2: ticket: no such table: tickets" in run("sql", "check", code=78)
    run("migrate")
    assert "1 SQL method in order" in run("sql", "check")
    told = json.loads(run("sql", "list", "--json"))
    assert told["methods"][0]["shape"] == "optional"
    assert "def ticket(self, id: int, *" in run("sql", "stubs", "queries", "--class", "Tickets")
    (site / "queries/bad.sql").write_text("-- name: x() -> rows\nSELECT :y;\n")
    assert "bad.sql:2: :y is no parameter of x; there are none" in run("sql", code=78)


def test_databases_are_listed_without_their_passwords(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = '[{"name": "far", "url": "postgresql://me:hunter2@127.0.0.1:1/x"}]'
    with monkeypatch.context() as within:
        within.setenv("MERGEPOINT_DATABASES", told)
        listed = run("db", "list")

    assert "hunter2" not in listed
    assert "postgresql://me:***@127.0.0.1:1/x" in listed
    assert "answers" in run("db", "list")
    assert "Nothing to say" in run("db", "advice")


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
