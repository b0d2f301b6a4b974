"""What the tables of a SQLite file are like, as far as their triggers need to know.

Place:  adapters.sqlite_triggers, adapters.sqlite_install -> [adapters.sqlite_tables] -> sqlite3
Rule:   reads the schema and nothing else; says nothing about what ought to be.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mergepoint.feed.contract import Database
from mergepoint.feed.errors import FeedRefused

OWN = "mergepoint_"
"""Tables of Mergepoint's own begin so: they are on no page."""
VERSION_MIN = (3, 37, 0)

_COLLATE = re.compile(r"\bcollate\s+(?!\"?binary\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """One ordinary or virtual table."""

    name: str
    key: tuple[str, ...]
    """Columns of its primary key and declared ones, those whose values can be spelled."""
    unspelled: tuple[str, ...]
    """Declared columns that are missing, or not compared byte by byte."""
    primary: tuple[str, ...]
    unique: tuple[tuple[tuple[str, str], ...], ...]
    """Of every constraint by which REPLACE may remove another row: columns and collations."""
    is_virtual: bool = False
    is_opaque: bool = False
    """A unique index on an expression: which row REPLACE removes cannot be told."""


def tables_of(db: sqlite3.Connection, database: Database) -> list[Table]:
    """Return the tables whose changes are wanted, by name. Raises `FeedRefused`."""
    if sqlite3.sqlite_version_info < VERSION_MIN:
        raise FeedRefused(
            f"SQLite {sqlite3.sqlite_version} is too old to describe its tables; 3.37 is needed",
            next="run Mergepoint with a newer Python",
        )
    found = [
        _table(db, name, kind == "virtual", bool(without_rowid), database.keys.get(name, ()))
        for _, name, kind, _, without_rowid, *_ in db.execute("PRAGMA main.table_list")
        if kind in {"table", "virtual"} and _counts(name) and database.wants(name)
    ]
    return sorted(found, key=lambda table: table.name)


def _counts(name: str) -> bool:
    return not name.startswith(("sqlite_", OWN))


def _table(
    db: sqlite3.Connection, name: str, virtual: bool, without_rowid: bool, declared: Iterable[str]
) -> Table:
    del without_rowid  # its primary key is found as any other's
    columns = list(db.execute(f"PRAGMA main.table_info({quoted(name)})"))
    sql = db.execute(
        "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?", (name,)
    ).fetchone()
    collated = bool(sql and sql[0] and _COLLATE.search(sql[0]))
    types = {column: kind for _, column, kind, *_ in columns}
    primary = [c[1] for c in sorted(columns, key=lambda c: c[5]) if c[5]]
    wanted = list(dict.fromkeys([*primary, *declared]))
    key = tuple(c for c in wanted if c in types and _spelled(types[c], collated))
    unique, opaque = _unique(db, name)
    if primary:
        unique.add(tuple((column, "BINARY") for column in primary))
    return Table(
        name=name,
        key=key,
        unspelled=tuple(column for column in declared if column not in key),
        primary=tuple(primary),
        unique=tuple(sorted(unique)),
        is_virtual=virtual,
        is_opaque=opaque,
    )


def _spelled(declared: str, collated: bool) -> bool:
    """Tell whether equal values of such a column are spelled alike, whoever writes them.

    Only where the affinity is INTEGER or TEXT (sqlite.org/datatype3, 3.1).
    """
    kind = declared.upper()
    if "INT" in kind:
        return True
    return any(word in kind for word in ("CHAR", "CLOB", "TEXT")) and not collated


Unique = tuple[tuple[str, str], ...]


def _unique(db: sqlite3.Connection, table: str) -> tuple[set[Unique], bool]:
    found: set[Unique] = set()
    opaque = False
    for _, name, is_unique, *_ in db.execute(f"PRAGMA main.index_list({quoted(table)})"):
        if not is_unique:
            continue
        parts = [
            (cid, column, collation)
            for _, cid, column, _, collation, is_key in db.execute(
                f"PRAGMA main.index_xinfo({quoted(name)})"
            )
            if is_key
        ]
        if any(cid < 0 for cid, *_ in parts):
            opaque = True
        else:
            found.add(tuple((column, collation) for _, column, collation in parts))
    return found, opaque


def quoted(name: str) -> str:
    """Return a name as SQLite reads it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQLite reads it."""
    return "'" + text.replace("'", "''") + "'"
