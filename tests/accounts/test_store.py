"""The database: brought up once, never by accident; its audit log only grows; lost, nobody hangs.

Place:  make test
Rule:   other processes are real processes; a lost PostgreSQL is one that was stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from mergepoint_testkit.postgres import Postgres, running_postgres
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import mergepoint.identity.accounts.migrations as migrations
from mergepoint.identity.accounts.application import assembled
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.service.accounts import Accounts, open_accounts
from mergepoint.identity.accounts.store.engine import open_engine, parse_url
from mergepoint.identity.accounts.store.errors import StoreLost, StoreRefused
from mergepoint.identity.accounts.store.migrate import HEAD, VERSION_TABLE, migrate
from mergepoint.identity.accounts.store.models import Model
from mergepoint.identity.accounts.store.unit import LOST_PAUSE_S, Store

from .acting import MovedClock, add, log_in

ANSWER_S_MAX = 10.0
"""Quick, on a machine that does other things too; the bounds of the store add up to less."""


def test_the_head_is_the_newest_step() -> None:
    place = Path(migrations.__file__).parent

    assert ScriptDirectory(str(place)).get_current_head() == HEAD


def test_an_empty_database_becomes_what_the_models_say(empty_database: str) -> None:
    engine = open_engine(parse_url(empty_database))

    assert migrate(engine)
    assert not migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, kind, _: kind != "table" or name != VERSION_TABLE},
        )
        assert compare_metadata(context, Model.metadata) == []
    engine.dispose()


def test_processes_that_start_at_once_bring_the_database_up_once(
    empty_database: str, settings: AccountsSettings
) -> None:
    environ = {"MERGEPOINT_ACCOUNTS": replace(settings, database=empty_database).to_json()}
    command = [sys.executable, "-m", "mergepoint.identity.accounts.store.migrate"]
    started = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    ended = [(process.communicate(timeout=120), process.returncode) for process in started]

    assert [code for _, code in ended] == [0, 0, 0], ended
    said = sorted(out.decode().split()[2] for (out, _), _ in ended)
    assert said == ["already", "already", "now"]
    again = subprocess.run(command, env=environ, capture_output=True, timeout=120, check=True)
    assert again.stdout.decode() == f"accounts database: already at {HEAD}\n"


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database: str) -> None:
    engine = open_engine(parse_url(database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE accounts_version SET version_num = '9999'"))
    store = Store(database, MovedClock())

    with pytest.raises(StoreRefused, match="newer Mergepoint"):
        store.prepare()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM accounts_version")).scalar()
    assert found == "9999"
    store.close()
    engine.dispose()


@pytest.mark.parametrize("address", ["nonsense", "mysql://u:secret@h/d", "sqlite:///rel"])
def test_a_wrong_address_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises((StoreRefused, StoreLost)) as refused:
        store = Store(address, MovedClock())
        store.prepare()
    assert "secret" not in refused.value.message


def test_the_file_is_closed_to_others(tmp_path: Path, clock: MovedClock) -> None:
    store = Store(f"sqlite:///{tmp_path}/deep/accounts.db", clock)
    store.prepare()
    with store.write(Caller()) as work:
        work.audit(Event.LOGIN)
        modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "deep").iterdir()}

    assert {"accounts.db", "accounts.db-wal", "accounts.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}
    store.close()


CHANGES = [
    "UPDATE accounts_audit SET event = 'nothing'",
    "UPDATE accounts_audit SET detail = '{}' WHERE id = 1",
    "DELETE FROM accounts_audit",
    "DELETE FROM accounts_audit WHERE id = 1",
]
SQLITE_CHANGES = [
    "INSERT OR REPLACE INTO accounts_audit SELECT id, 0, 'nothing', '', '', '', '', '', '', '', "
    "'{}' FROM accounts_audit",
    "REPLACE INTO accounts_audit SELECT * FROM accounts_audit",
]
POSTGRESQL_CHANGES = [
    "TRUNCATE accounts_audit",
    "INSERT INTO accounts_audit SELECT * FROM accounts_audit "
    "ON CONFLICT (id) DO UPDATE SET event = 'nothing'",
]


def test_nothing_written_to_the_audit_log_changes_or_goes(accounts: Accounts, by: Caller) -> None:
    for _ in range(3):
        accounts.audit.write(Event.KEYS_ROTATED, by)
    before = accounts.audit.read()
    sqlite = accounts.store.engine.dialect.name == "sqlite"

    for change in [*CHANGES, *(SQLITE_CHANGES if sqlite else POSTGRESQL_CHANGES)]:
        with (
            pytest.raises(DBAPIError, match="append-only"),
            accounts.store.engine.begin() as connection,
        ):
            connection.exec_driver_sql(change)
        assert accounts.audit.read() == before


def test_a_deleted_person_stays_in_the_audit_log(accounts: Accounts, by: Caller) -> None:
    bob = add(accounts, "bob", by)
    accounts.people.delete(bob.sub, by)

    told = {(e.event, e.target_user) for e in accounts.audit.read(about=bob.sub)}
    assert {("person.added", "bob"), ("person.deleted", "bob")} <= told


def test_what_fails_leaves_neither_change_nor_audit_nor_revocation(
    accounts: Accounts, by: Caller
) -> None:
    bob = add(accounts, "bob", by)
    position = accounts.feed.read("", 0)["position"]
    entries = len(accounts.audit.read())

    with pytest.raises(RuntimeError, match="half way"), accounts.store.write(by) as work:
        row = work.lock_subject(bob.sub)
        assert row is not None
        row.disabled = True
        work.audit(Event.PERSON_DISABLED)
        work.revoke("subject", bob.sub)
        raise RuntimeError("half way")

    person = accounts.people.get(bob.sub)
    assert person is not None
    assert not person.disabled
    assert accounts.feed.read("", 0)["position"] == position
    assert len(accounts.audit.read()) == entries


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A cluster this test may stop."""
    with running_postgres() as server:
        yield server


def all_calls(accounts: Accounts) -> list[tuple[int, bytes, str | None]]:
    client = assembled(accounts).test_client()
    token = "mpt_" + "a" * 12 + "_" + "b" * 43
    refresh = "a" * 22 + "." + "b" * 43
    answers = [
        client.get("/edge/feed?epoch=&after=0", headers={"Mergepoint-Call": "feed"}),
        client.post(
            "/edge/refresh",
            headers={"Mergepoint-Call": "refresh"},
            json={"refresh": refresh, "secure": True},
        ),
        client.post(
            "/edge/check",
            headers={"Mergepoint-Call": "check"},
            json={"scheme": "bearer", "secret": token},
        ),
    ]
    return [(a.status_code, a.data, a.headers.get("Retry-After")) for a in answers]


def assert_lost(accounts: Accounts, secrets: list[str]) -> None:
    """Every call answers 503, quickly, with nothing of the inside in it."""
    began = time.monotonic()
    for status, content, retry_after in all_calls(accounts):
        assert status == 503
        assert json.loads(content) == {
            "error": {"code": "accounts.store_lost", "message": "accounts cannot answer now"}
        }
        assert retry_after == "1"
        assert not any(secret.encode() in content for secret in secrets)
    assert time.monotonic() - began < ANSWER_S_MAX


def test_a_lost_postgresql_is_503_and_found_again(
    own_postgres: Postgres, settings: AccountsSettings, clock: MovedClock, by: Caller
) -> None:
    address = own_postgres.create("accounts")
    accounts = open_accounts(replace(settings, database=address), clock)
    add(accounts, "ada", by)
    before = accounts.feed.read("", 0)
    own_postgres.stop()

    assert_lost(accounts, [str(own_postgres.directory), "SELECT"])

    own_postgres.start()
    clock.pass_s(LOST_PAUSE_S)
    assert accounts.feed.read("", 0) == before
    step, _ = log_in(accounts)
    assert step.started is not None
    accounts.store.close()


def test_an_app_starts_without_its_database_and_uses_it_once_it_is_there(
    own_postgres: Postgres, settings: AccountsSettings, clock: MovedClock
) -> None:
    from mergepoint.identity.accounts.application import application

    address = own_postgres.create("accounts")
    own_postgres.stop()
    told = replace(settings, database=address).to_json()
    app = application({"MERGEPOINT_ACCOUNTS": told}, clock)
    client = app.test_client()

    lost = client.get("/edge/feed", headers={"Mergepoint-Call": "feed"})
    own_postgres.start()
    clock.pass_s(LOST_PAUSE_S)
    found = client.get("/edge/feed", headers={"Mergepoint-Call": "feed"})

    assert (lost.status_code, found.status_code) == (503, 200)
    app.extensions["mergepoint.accounts"].store.close()


def test_a_lost_file_is_503_and_never_replaced_by_an_empty_one(
    migrated_file: Path, tmp_path: Path, settings: AccountsSettings, clock: MovedClock, by: Caller
) -> None:
    file, aside = tmp_path / "a.db", tmp_path / "aside.db"
    file.write_bytes(migrated_file.read_bytes())
    accounts = open_accounts(replace(settings, database=f"sqlite:///{file}"), clock)
    add(accounts, "ada", by)
    before = accounts.feed.read("", 0)
    accounts.store.close()
    file.rename(aside)

    assert_lost(accounts, [str(tmp_path), "sqlite"])
    clock.pass_s(LOST_PAUSE_S)
    assert_lost(accounts, [str(tmp_path), "sqlite"])
    assert not file.exists()

    aside.rename(file)
    clock.pass_s(LOST_PAUSE_S)
    assert accounts.feed.read("", 0) == before
    accounts.store.close()


def test_another_file_in_its_place_is_read_as_it_is(
    migrated_file: Path, tmp_path: Path, settings: AccountsSettings, clock: MovedClock, by: Caller
) -> None:
    file, backup = tmp_path / "a.db", tmp_path / "backup.db"
    file.write_bytes(migrated_file.read_bytes())
    backup.write_bytes(migrated_file.read_bytes())
    accounts = open_accounts(replace(settings, database=f"sqlite:///{file}"), clock)
    add(accounts, "ada", by)
    accounts.store.close()
    backup.rename(file)

    with pytest.raises(StoreLost):
        accounts.people.find("ada")
    assert accounts.people.find("ada") is None
    accounts.store.close()
