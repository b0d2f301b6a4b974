"""The log of a SQLite file: every writer, every way a row can change, every fate of the file.

Place:  make test
Rule:   real files and real writers; a tag that is missing is an answer that is stale for ever.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mergepoint.feed.adapters.sqlite import Reader
from mergepoint.feed.adapters.sqlite_install import audit as audited
from mergepoint.feed.adapters.sqlite_install import connect, install, plan, remove
from mergepoint.feed.contract import Batch, Change, Database, Fault, FeedLimits, Op, Position
from mergepoint.feed.errors import FeedNotInstalled, FeedUnreachable

LIMITS = FeedLimits(read_s=20.0)


def read(reader: Reader, since: Position | None = None) -> Batch:
    return asyncio.run(reader.read(since))


def seen(changes: Sequence[Change]) -> set[tuple[object, ...]]:
    """Rows by their keys; the op is told apart where a test asks for it."""
    return {tuple(change.key.values()) for change in changes}


@pytest.fixture
def reader(app: sqlite3.Connection, database: Database) -> Reader:
    install(database, LIMITS)
    return Reader(database, LIMITS)


def test_a_second_install_has_nothing_to_do(app: sqlite3.Connection, database: Database) -> None:
    assert install(database, LIMITS) != []
    assert plan(database, LIMITS) == []
    assert install(database, LIMITS) == []


def test_an_update_is_told_with_the_keys_before_and_after(
    app: sqlite3.Connection, reader: Reader
) -> None:
    app.execute("INSERT INTO tickets VALUES (1, 'old', 'x')")
    start = read(reader).position
    app.execute("UPDATE tickets SET slug = 'new' WHERE id = 1")
    batch = read(reader, start)

    assert [change.op for change in batch.changes] == [Op.UPDATE, Op.UPDATE]
    assert seen(batch.changes) == {(1, "old"), (1, "new")}


def test_what_was_rolled_back_is_never_shown(app: sqlite3.Connection, reader: Reader) -> None:
    start = read(reader).position
    app.execute("BEGIN")
    app.execute("INSERT INTO tickets VALUES (1, 'a', 'x')")
    during = read(reader, start)
    app.execute("ROLLBACK")
    app.execute("INSERT INTO tickets VALUES (2, 'b', 'x')")

    assert during.changes == ()
    assert seen(read(reader, during.position).changes) == {(2, "b")}


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE"])
def test_a_row_that_replace_removes_is_told_with_its_own_keys(
    app: sqlite3.Connection, reader: Reader, verb: str
) -> None:
    app.execute("INSERT INTO tickets VALUES (1, 'a', 'x'), (2, 'b', 'x')")
    start = read(reader).position
    app.execute(f"{verb} INTO tickets VALUES (1, 'b', 'y')")

    assert app.execute("SELECT id, slug FROM tickets").fetchall() == [(1, "b")]
    assert seen(read(reader, start).changes) == {(1, "a"), (2, "b"), (1, "b")}


def test_update_or_replace_tells_the_row_it_removes(
    app: sqlite3.Connection, reader: Reader
) -> None:
    app.execute("INSERT INTO tickets VALUES (1, 'a', 'x'), (2, 'b', 'x')")
    start = read(reader).position
    app.execute("UPDATE OR REPLACE tickets SET slug = 'b' WHERE id = 1")

    assert seen(read(reader, start).changes) == {(1, "a"), (2, "b"), (1, "b")}


def test_deleting_everything_and_cascades_are_told_row_by_row(
    app: sqlite3.Connection, database: Database
) -> None:
    app.execute("PRAGMA foreign_keys = on")
    app.execute(
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, ticket INTEGER REFERENCES tickets"
        " ON DELETE CASCADE ON UPDATE CASCADE)"
    )
    install(database, LIMITS)
    reader = Reader(database, LIMITS)
    app.execute("INSERT INTO tickets VALUES (1, 'a', 'x'), (2, 'b', 'x')")
    app.execute("INSERT INTO notes VALUES (10, 1), (20, 2)")
    start = read(reader).position
    app.execute("UPDATE tickets SET id = 3 WHERE id = 2")
    app.execute("DELETE FROM tickets")
    changes = read(reader, start).changes

    deleted = {(c.table, c.key["id"]) for c in changes if c.op is Op.DELETE}
    assert deleted == {("tickets", 1), ("tickets", 3), ("notes", 10), ("notes", 20)}
    assert {c.key["id"] for c in changes if c.table == "notes" and c.op is Op.UPDATE} == {20}


@pytest.mark.parametrize(
    "value", ["it's", "", "a,b", "x'y,'", "ä €", "1", "NULL", "%", 0, -7, 2**63 - 1]
)
def test_a_key_is_told_as_it_is(app: sqlite3.Connection, tmp_path: Path, value: int | str) -> None:
    kind = "INTEGER" if isinstance(value, int) else "TEXT"
    app.execute(f"CREATE TABLE odd (a {kind} PRIMARY KEY, b TEXT)")
    database = Database("main", f"sqlite:///{tmp_path}/app.db", keys={"odd": ("b",)})
    install(database, LIMITS)
    reader = Reader(database, LIMITS)
    start = read(reader).position
    app.execute("INSERT INTO odd VALUES (?, 'last')", (value,))

    assert seen(read(reader, start).changes) == {(value, "last")}


def test_values_that_are_no_integer_and_no_text_are_left_out(
    app: sqlite3.Connection, tmp_path: Path
) -> None:
    app.execute("CREATE TABLE odd (a TEXT, b INTEGER, c TEXT, d TEXT)")
    keys = {"odd": ("a", "b", "c", "d")}
    database = Database("main", f"sqlite:///{tmp_path}/app.db", keys=keys)
    install(database, LIMITS)
    reader = Reader(database, LIMITS)
    start = read(reader).position
    app.execute("INSERT INTO odd VALUES (x'2c27', 1.5, NULL, 'd')")

    assert [dict(change.key) for change in read(reader, start).changes] == [{"d": "d"}]


def test_columns_that_compare_in_their_own_way_are_no_keys(
    app: sqlite3.Connection, tmp_path: Path
) -> None:
    app.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT COLLATE NOCASE, at DATE)")
    keys = {"people": ("mail", "at")}
    database = Database("main", f"sqlite:///{tmp_path}/app.db", keys=keys)
    install(database, LIMITS)
    found = audited(connect(database), database)

    assert found.tables["people"] == ("id",)
    faults = [(f.table, f.fault, f.detail) for f in found.findings]
    assert faults == [("people", Fault.KEY, "mail"), ("people", Fault.KEY, "at")]


def test_every_writer_counts(app: sqlite3.Connection, reader: Reader, tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text

    start = read(reader).position
    file = tmp_path / "app.db"
    program = shutil.which("sqlite3")
    if program:
        subprocess.run([program, file, "INSERT INTO tickets VALUES (1, 'shell', '')"], check=True)
    else:
        app.execute("INSERT INTO tickets VALUES (1, 'shell', '')")
    code = f"import sqlite3; db = sqlite3.connect({str(file)!r}); db.execute("
    code += "\"INSERT INTO tickets VALUES (2, 'process', '')\"); db.commit()"
    subprocess.run([sys.executable, "-c", code], check=True)
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO tickets VALUES (3, 'sqlalchemy', '')"))
    engine.dispose()

    assert seen(read(reader, start).changes) == {(1, "shell"), (2, "process"), (3, "sqlalchemy")}


def test_a_file_that_was_replaced_by_an_older_copy_is_a_gap(
    app: sqlite3.Connection, reader: Reader, tmp_path: Path
) -> None:
    app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
    app.execute("PRAGMA wal_checkpoint(truncate)")
    shutil.copy(tmp_path / "app.db", tmp_path / "backup.db")
    app.execute("INSERT INTO tickets VALUES (2, 'b', '')")
    position = read(reader).position
    app.close()
    for ending in ("-wal", "-shm"):
        (tmp_path / f"app.db{ending}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(tmp_path / "app.db")
    batch = read(reader, position)

    assert batch.gap
    assert batch.position.epoch != position.epoch


def test_a_log_that_was_set_back_in_place_and_grew_again_is_a_gap(
    app: sqlite3.Connection, reader: Reader, tmp_path: Path
) -> None:
    backup = sqlite3.connect(":memory:")
    app.backup(backup)
    app.execute("INSERT INTO tickets VALUES (1, 'lost', '')")
    position = read(reader).position
    backup.backup(app)
    app.execute("INSERT INTO tickets VALUES (1, 'kept', '')")

    assert read(reader, position).gap


def test_a_position_that_the_log_has_forgotten_is_a_gap(
    app: sqlite3.Connection, database: Database
) -> None:
    limits = FeedLimits(keep_rows_max=10, read_s=20.0)
    install(database, limits)
    reader = Reader(database, limits)
    start = read(reader).position
    app.executemany("INSERT INTO tickets VALUES (?, ?, '')", [(n, str(n)) for n in range(30)])
    late = read(reader, start)
    app.execute("INSERT INTO tickets VALUES (99, 'on', '')")

    assert late.gap
    assert app.execute("SELECT count(*) FROM mergepoint_feed_log").fetchone() == (10,)
    assert seen(read(reader, late.position).changes) == {(99, "on")}


def test_a_change_of_tables_ends_the_epoch(app: sqlite3.Connection, reader: Reader) -> None:
    position = read(reader).position
    app.execute("ALTER TABLE tickets ADD COLUMN more")

    assert read(reader, position).gap


def test_vacuum_costs_a_flush_and_loses_nothing_after_it(
    app: sqlite3.Connection, reader: Reader
) -> None:
    app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
    position = read(reader).position
    app.execute("VACUUM")
    after = read(reader, position)
    app.execute("INSERT INTO tickets VALUES (2, 'b', '')")

    assert after.gap
    assert seen(read(reader, after.position).changes) == {(2, "b")}


def test_a_writer_that_holds_a_rollback_journal_delays_a_read_and_breaks_nothing(
    app: sqlite3.Connection, database: Database
) -> None:
    app.execute("PRAGMA journal_mode = delete")
    install(database, LIMITS)
    reader = Reader(database, LIMITS)
    start = read(reader).position
    app.execute("BEGIN EXCLUSIVE")
    app.execute("INSERT INTO tickets VALUES (1, 'a', '')")

    async def scene() -> Batch:
        reading = asyncio.create_task(reader.read(start))
        await asyncio.sleep(0)
        app.execute("COMMIT")
        return await reading

    assert seen(asyncio.run(scene()).changes) == {(1, "a")}


def test_a_writer_that_never_ends_makes_the_file_unreachable_and_no_more(
    app: sqlite3.Connection, database: Database
) -> None:
    app.execute("PRAGMA journal_mode = delete")
    install(database, LIMITS)
    reader = Reader(database, FeedLimits(read_s=0.05))
    start = read(reader).position
    app.execute("BEGIN EXCLUSIVE")
    app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
    with pytest.raises(FeedUnreachable, match="locked"):
        read(reader, start)
    app.execute("COMMIT")

    assert seen(read(reader, start).changes) == {(1, "a")}


def test_many_rows_at_once_are_read_whole_or_told_to_be_a_gap(
    app: sqlite3.Connection, database: Database
) -> None:
    install(database, LIMITS)
    patient = Reader(database, LIMITS)
    short = Reader(database, FeedLimits(rows_max=500))
    start = read(patient).position
    app.executemany("INSERT INTO tickets VALUES (?, ?, '')", [(n, str(n)) for n in range(900)])

    assert len(read(patient, start).changes) == 900
    assert read(short, start).gap


def test_pages_hold_every_change_once_in_order(app: sqlite3.Connection, reader: Reader) -> None:
    async def scene() -> list[int | str]:
        at = (await reader.read(None)).position
        app.executemany("INSERT INTO tickets VALUES (?, ?, '')", [(n, str(n)) for n in range(25)])
        found: list[int | str] = []
        while page := (await reader.page(at, 10)).changes:
            found += [change.key["id"] for change in page]
            at = (await reader.page(at, 10)).position
        return found

    assert asyncio.run(scene()) == list(range(25))


def test_a_file_without_a_log_says_how_to_get_one(
    app: sqlite3.Connection, database: Database
) -> None:
    with pytest.raises(FeedNotInstalled) as refused:
        read(Reader(database, LIMITS))

    assert refused.value.next == "mergepoint feed install main"


def test_removing_leaves_nothing_behind(app: sqlite3.Connection, database: Database) -> None:
    before = app.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
    install(database, LIMITS)
    remove(database)

    assert app.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall() == before
    assert remove(database) == []


def test_the_audit_names_each_table_without_live_triggers(
    app: sqlite3.Connection, database: Database
) -> None:
    app.execute("CREATE TABLE early (id INTEGER PRIMARY KEY)")
    install(database, LIMITS)
    app.execute("CREATE TABLE late (id INTEGER PRIMARY KEY)")
    app.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    app.execute("DROP TRIGGER mergepoint_feed_delete_early")
    found = audited(connect(database), database)

    faults = {f.table: f.fault for f in found.findings}
    assert faults == {
        "early": Fault.STALE, "late": Fault.MISSING, "words": Fault.VIRTUAL,
    }  # fmt: skip
    assert found.tables == {"tickets": ("id", "slug")}


def test_a_table_that_was_made_anew_under_its_name_is_found_and_mended(
    app: sqlite3.Connection, database: Database
) -> None:
    install(database, LIMITS)
    app.execute("CREATE TABLE anew (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, title, body)")
    app.execute("DROP TABLE tickets")
    app.execute("ALTER TABLE anew RENAME TO tickets")
    lost = audited(connect(database), database)
    install(database, LIMITS)

    assert [f.fault for f in lost.findings] == [Fault.MISSING]
    assert audited(connect(database), database).findings == ()


def test_a_renamed_column_or_table_never_breaks_a_writer(
    app: sqlite3.Connection, database: Database
) -> None:
    install(database, LIMITS)
    app.execute("ALTER TABLE tickets RENAME COLUMN slug TO handle")
    app.execute("INSERT INTO tickets VALUES (1, 'a', '')")
    app.execute("ALTER TABLE tickets RENAME TO issues")
    app.execute("INSERT INTO issues VALUES (2, 'b', '')")

    found = audited(connect(database), database)
    assert [f.table for f in found.findings if f.voids] == ["issues"]
