"""The table of a collection, and its indexes.

Place:  documents.operations -> [documents.tables] -> documents.prefilter
Rule:   pure text; a name is checked before it stands in SQL.

    place   the order of insertion
    id      the `_id` as JSON
    body    the document
"""

from __future__ import annotations

import re
import zlib

from mergepoint.data.documents.contract import Index
from mergepoint.data.documents.paths import parts_of
from mergepoint.data.documents.prefilter import list_at, names_postgresql, names_sqlite, usable
from mergepoint.data.documents.prefilter import value_at as value_of
from mergepoint.data.errors import DataRefused, QueryRefused

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
PREFIX = "documents_"
LOCK = 0x6D70646F << 32
"""PostgreSQL's advisory locks while a collection is made: this and a checksum of its name."""


def table_of(name: str) -> str:
    """Return the table's name; raise `DataRefused` for a bad one."""
    if not NAME.fullmatch(name):
        raise DataRefused(f"{name!r} is no name of a collection: {NAME.pattern}")
    return PREFIX + name


def made(table: str, kind: str) -> list[str]:
    """Return the statements that make it unless it is there."""
    if kind == "sqlite":
        return [
            f"CREATE TABLE IF NOT EXISTS {table} (place INTEGER PRIMARY KEY AUTOINCREMENT,"
            " id TEXT NOT NULL UNIQUE, body TEXT NOT NULL)"
        ]
    lock = LOCK + zlib.crc32(table.encode())
    return [
        f"SELECT pg_advisory_xact_lock({lock})",
        f"CREATE TABLE IF NOT EXISTS {table}"
        " (place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " id text NOT NULL UNIQUE, body jsonb NOT NULL)",
    ]


def index_statements(table: str, index: Index, kind: str) -> list[str]:
    """Return the statements that make an index, and the one `prefilter` needs beside it."""
    unique = "UNIQUE " if index.unique else ""
    columns = []
    for field, direction in index.fields:
        parts = parts_of(field)
        if not usable(parts):
            raise QueryRefused(f"{field!r} cannot be indexed: letters, digits, _, - and spaces")
        columns.append(_column(parts, kind, index.unique) + (" DESC" if direction < 0 else ""))
    name = index_name(table, index.name)
    statements = [f"CREATE {unique}INDEX {name} ON {table} ({', '.join(columns)})"]
    if not index.unique:
        first = parts_of(index.fields[0][0])
        for length in range(1, len(first) + 1):
            lists = list_at(first[:length], kind)
            part = zlib.crc32(".".join(first[:length]).encode())
            # SQLite uses an index for one branch of OR where its column is compared there.
            column = lists if kind == "postgresql" else lists.removesuffix(" = 'array')")[1:]
            statements.append(
                f"CREATE INDEX IF NOT EXISTS {table}_lists_{part:08x} ON {table} ({column})"
                f" WHERE {lists}"
            )
    return statements


def index_name(table: str, name: str) -> str:
    """Return the index's name in the database; at most 63 characters, as PostgreSQL keeps."""
    return f"{table[:40]}__{zlib.crc32(name.encode()):08x}"


def default_name(fields: tuple[tuple[str, int], ...]) -> str:
    """Return MongoDB's name of an index over these fields."""
    return "_".join(f"{field}_{direction}" for field, direction in fields)


def _column(parts: tuple[str, ...], kind: str, unique: bool) -> str:
    if not unique:
        return f"({value_of(parts, kind)})" if kind == "sqlite" else value_of(parts, kind)
    # A document without the field has null there, and only one may have it.
    if kind == "sqlite":
        return f"(coalesce(body -> {names_sqlite(parts)}, 'null'))"
    return f"(coalesce(body #> {names_postgresql(parts)}, 'null'::jsonb))"
