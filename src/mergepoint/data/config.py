"""Which databases there are, and the bounds of everything that waits or is kept.

Place:  environment -> [data.config] -> data.engines, data.site
Rule:   pure; the environment is handed in by whoever may read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mergepoint.data.errors import DataRefused, NoDatabase

VARIABLE = "MERGEPOINT_DATABASES"
"""JSON: `[{"name": "main", "url": "sqlite:////srv/shop.db"}]`."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
DATABASES_MAX = 32


@dataclass(frozen=True)
class Bounds:
    """What one database may cost this process. Seconds, counts and bytes are in the names."""

    connections_max: int = 10
    """Open connections; blocking and asynchronous code each have a pool of so many."""
    connection_wait_s: float = 5.0
    """How long a request waits for one of them before it is told that there is none."""
    connect_s: float = 5.0
    """How long making a connection may take."""
    busy_s: float = 5.0
    """How long a statement waits for another one's lock."""
    statement_s: float = 60.0
    """How long one statement may run (PostgreSQL)."""
    idle_transaction_s: float = 300.0
    """How long a transaction may do nothing (PostgreSQL)."""
    rows_max: int = 100_000
    """Rows a SQL method returns at once; a `stream` has no such bound."""
    stream_rows: int = 500
    """Rows a stream holds at a time."""
    documents_max: int = 100_000
    """Documents that are sorted or grouped in memory."""
    document_bytes_max: int = 16 * 1024 * 1024
    """One document, as JSON."""


@dataclass(frozen=True)
class Database:
    """One database by its name."""

    name: str
    url: str = field(repr=False)
    """May hold a password."""
    bounds: Bounds = field(default_factory=Bounds)


def databases_of(text: str) -> tuple[Database, ...]:
    """Return what the variable says; empty for an empty text. Raises `DataRefused`."""
    if not text:
        return ()
    try:
        read = json.loads(text)
    except ValueError as error:
        raise DataRefused(f"{VARIABLE} is no JSON: {error}") from None
    if not isinstance(read, list):
        raise DataRefused(f'{VARIABLE} must be a list of {{"name", "url"}}')
    if len(read) > DATABASES_MAX:
        raise DataRefused(f"{VARIABLE} has {len(read)} databases; a process takes {DATABASES_MAX}")
    return checked([_database(entry) for entry in read])


def of_urls(urls: Mapping[str, str]) -> tuple[Database, ...]:
    """Return databases by name and address. Raises `DataRefused`."""
    return checked([Database(name, url) for name, url in urls.items()])


def checked(databases: Sequence[Database]) -> tuple[Database, ...]:
    """Return them; raise `DataRefused` for a bad name or one that comes twice."""
    seen: set[str] = set()
    for one in databases:
        if not NAME.fullmatch(one.name):
            raise DataRefused(f"{one.name!r} is no name of a database: {NAME.pattern}")
        if one.name in seen:
            raise DataRefused(f"two databases are named {one.name!r}")
        seen.add(one.name)
    return tuple(databases)


def chosen(databases: Sequence[Database], name: str) -> Database:
    """Return the one of this name; the only or first one for an empty name."""
    if not databases:
        raise NoDatabase(
            "this process has no database", next=f"add [[databases]], or set {VARIABLE}"
        )
    if not name:
        return databases[0]
    for one in databases:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in databases)
    raise NoDatabase(f"there is no database {name!r}; there are {known}")


def _database(entry: Any) -> Database:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise DataRefused(f'{VARIABLE}: every entry needs "name" and "url"')
    return Database(str(entry.get("name", "main")), entry["url"], _bounds(entry.get("bounds", {})))


def _bounds(told: Any) -> Bounds:
    bounds = Bounds()
    known = {one.name for one in fields(Bounds)}
    if not isinstance(told, dict) or set(told) - known:
        raise DataRefused(f"{VARIABLE}: bounds are {', '.join(sorted(known))}")
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise DataRefused(f"{VARIABLE}: {name} must be a number above 0, not {value!r}")
        kind = type(getattr(bounds, name))
        bounds = replace(bounds, **{name: kind(value)})
    return bounds
