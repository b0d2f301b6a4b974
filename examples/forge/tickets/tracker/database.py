"""The SQLite file: how it is opened, laid out and written.

Place:  settings -> [database] -> views, api, prepare
Rule:   a writing session takes the write lock at its start, so that it never fails half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.orm import Session

from mergepoint.tasks import outbox
from tracker.models import Model

BUSY_TIMEOUT_S = 5.0

# The full-text index follows the tables by triggers: no code path can forget it.
SEARCH_SCHEMA = (
    """CREATE VIRTUAL TABLE IF NOT EXISTS ticket_text USING fts5(
         title, body, comments, tokenize="unicode61 remove_diacritics 2", prefix="2 3")""",
    """CREATE TRIGGER IF NOT EXISTS ticket_text_insert AFTER INSERT ON tickets BEGIN
         INSERT INTO ticket_text(rowid, title, body, comments)
         VALUES (new.id, new.title, new.body, '');
       END""",
    """CREATE TRIGGER IF NOT EXISTS ticket_text_update AFTER UPDATE OF title, body ON tickets BEGIN
         UPDATE ticket_text SET title = new.title, body = new.body WHERE rowid = new.id;
       END""",
    """CREATE TRIGGER IF NOT EXISTS ticket_text_delete AFTER DELETE ON tickets BEGIN
         DELETE FROM ticket_text WHERE rowid = old.id;
       END""",
    """CREATE TRIGGER IF NOT EXISTS ticket_text_comment AFTER INSERT ON comments
         WHEN new.kind = 'comment' BEGIN
         UPDATE ticket_text SET comments = comments || char(10) || new.body
         WHERE rowid = new.ticket_id;
       END""",
)

# Columns that younger versions brought; tables made before get them, and keep what they hold.
ADDED_COLUMNS = {
    "tickets": "author_name VARCHAR(100) NOT NULL DEFAULT ''",
    "comments": "author_name VARCHAR(100) NOT NULL DEFAULT ''",
}


class Database:
    """One SQLite file; cheap to make, opens connections when first used."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.engine: Engine = create_engine(
            f"sqlite:///{file}", connect_args={"timeout": BUSY_TIMEOUT_S}
        )
        event.listen(self.engine, "connect", _prepare_connection)
        event.listen(self.engine, "begin", _begin)
        # From here on, a task that is asked for within a transaction exists if that commits.
        outbox.watch(self.engine)
        self._writing = self.engine.execution_options(forge_write=True)

    def create(self) -> None:
        """Lay out tables and the search index; a second call changes nothing."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._writing.begin() as connection:
            Model.metadata.create_all(connection)
            _add_columns(connection)
            for statement in (*SEARCH_SCHEMA, *outbox.ddl("sqlite")):
                connection.execute(text(statement))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Lend a session that sees one consistent state."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Lend a session that commits at the end, or rolls back when the block raises."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session


def _add_columns(connection: Connection) -> None:
    for table, column in ADDED_COLUMNS.items():
        known = {found["name"] for found in inspect(connection).get_columns(table)}
        if column.partition(" ")[0] not in known:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}"))


def _prepare_connection(connection: Any, _record: Any) -> None:
    # The driver's own idea of when to begin is too late for a lock; _begin says it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("forge_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
