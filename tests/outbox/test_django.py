"""Django: what is enqueued within `atomic` is a part of it, nothing else has to be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import rows


def run(scene: str, default: Path | str, other: Path | str) -> list[str]:
    """Run a scene of the app in a process of its own, for Django is configured once."""
    urls = [one if isinstance(one, str) else f"sqlite:///{one}" for one in (default, other)]
    program = Path(__file__).with_name("django_app.py")
    done = subprocess.run(
        [sys.executable, str(program), scene, *urls], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Path | str:
    name = "sqlite_file" if request.param == "sqlite" else "postgres_url"
    found: Path | str = request.getfixturevalue(name)
    return found


def test_atomic_blocks_and_nested_ones_take_their_messages_along(
    database: Path | str, tmp_path: Path
) -> None:
    assert run("blocks", database, tmp_path / "other.db") == ["nothing to join"]
    assert rows(database) == ["m1", "m3"]


def test_what_the_bus_sends_in_an_atomic_block_is_a_part_of_it(
    database: Path | str, tmp_path: Path
) -> None:
    assert run("bus", database, tmp_path / "other.db") == []
    assert rows(database) == ["put0", "event0", "put2", "event2"]


def test_any_alias_is_found_and_two_are_refused_until_one_is_named(
    sqlite_file: Path, postgres_url: str
) -> None:
    (said,) = run("aliases", sqlite_file, postgres_url)
    assert said.startswith("refused: 2 transactions are open: ")
    assert "'default'" in said
    assert "'other'" in said
    assert rows(postgres_url) == ["m1", "m2", "m3"]
    assert rows(sqlite_file) == []


def test_what_cannot_be_joined_is_refused(database: Path | str, tmp_path: Path) -> None:
    autocommit, unknown, failed = run("refusals", database, tmp_path / "other.db")
    assert "is in autocommit" in autocommit
    assert "no database 'nowhere'" in unknown
    assert "has failed already" in failed
    assert rows(database) == []
