"""The accounts of a site on SQLite and on a real PostgreSQL, with a clock the tests move.

Place:  make test
Rule:   every promise is tested on both databases; password hashes are made as cheap as they get.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.identity.accounts.application import assembled
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings, Argon2Cost
from mergepoint.identity.accounts.service.accounts import Accounts, open_accounts
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.store.unit import Store

from .acting import MovedClock, add

CHEAP = Argon2Cost(passes=1, memory_kib=8, lanes=1)
ENGINES = ("sqlite", "postgresql")
_names = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables, to be copied: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("template") / "accounts.db"
    store = Store(f"sqlite:///{file}", MovedClock())
    store.prepare()
    store.close()
    return file


@pytest.fixture(scope="session")
def migrated_name(postgres: Postgres) -> str:
    """The same on PostgreSQL."""
    store = Store(postgres.create("accounts_template"), MovedClock())
    store.prepare()
    store.close()
    return "accounts_template"


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where no table of ours is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"empty_{next(_names)}")


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with our tables and nobody in it."""
    if request.param == "sqlite":
        file = tmp_path / "accounts.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), file)
        return f"sqlite:///{file}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"accounts_{next(_names)}", request.getfixturevalue("migrated_name"))


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def settings(database: str, tmp_path: Path) -> AccountsSettings:
    return AccountsSettings(
        site="acme",
        issuer="mergepoint:acme",
        database=database,
        keys_dir=tmp_path / "keys",
        state_dir=tmp_path,
        public_url="https://acme.example",
        argon2=CHEAP,
        roles={
            "admin": ("*",),
            "developer": ("tickets.edit", "tickets.read", "wiki.*"),
            "reader": ("tickets.read",),
        },
    )


Open = Callable[..., Accounts]


@pytest.fixture
def opened(settings: AccountsSettings, clock: MovedClock) -> Iterator[Open]:
    """Open the accounts with some settings changed; as another process would."""
    made: list[Accounts] = []

    def open_(**changes: Any) -> Accounts:
        made.append(open_accounts(replace(settings, **changes), clock))
        return made[-1]

    yield open_
    for accounts in made:
        accounts.store.close()


@pytest.fixture
def accounts(opened: Open) -> Accounts:
    return opened()


@pytest.fixture
def by() -> Caller:
    return Caller(address="192.0.2.7", agent="Firefox", request_id="r1", secure=True)


@pytest.fixture
def ada(accounts: Accounts, by: Caller) -> Person:
    return add(accounts, "ada", by, roles=["developer"])


@pytest.fixture
def edge(accounts: Accounts) -> FlaskClient:
    return assembled(accounts).test_client()
