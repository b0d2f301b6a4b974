"""What the locks of a transaction say about what it has read.

Place:  cache.postgres -> [cache.locks] -> cache.pins, feed.tags
Rule:   pure; a statement is taken to have read every table that it may have read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mergepoint.cache.pins import calls_anything, pinned
from mergepoint.feed.tags import table_tag, value_tag

LOCKS = (
    "SELECT n.nspname, c.relname, c.relkind, l.mode, c.relrowsecurity"
    " FROM pg_catalog.pg_locks l"
    " JOIN pg_catalog.pg_class c ON c.oid = l.relation"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'"
    " AND l.database <> 0 AND l.granted AND c.relkind NOT IN ('i', 'I', 't', 'S')"
)
OURS = frozenset(("pg_locks", "pg_class", "pg_namespace"))
"""Locked by the question itself."""
SYSTEM = frozenset(("pg_catalog", "information_schema", "pg_toast"))
READS = frozenset(("AccessShareLock", "RowShareLock"))
OWN = "mergepoint"


class Lock(NamedTuple):
    """One relation that the transaction has locked."""

    schema: str
    name: str
    kind: str
    mode: str
    row_security: bool


class Held(NamedTuple):
    """What a transaction has touched so far, by the names tags have."""

    tables: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    is_guarded: bool = False
    """One of them has policies of its rows, which may read other tables."""
    fault: str = ""


def held_by(locks: Iterable[Lock]) -> Held:
    """Return what these locks say."""
    tables: set[str] = set()
    views: set[str] = set()
    written: set[str] = set()
    guarded, fault = False, ""
    for lock in locks:
        kind = lock.kind.decode() if isinstance(lock.kind, bytes) else lock.kind
        if lock.schema in SYSTEM:
            if lock.name not in OURS:
                fault = "the catalogue of the database was read"
            continue
        if lock.schema.startswith("pg_temp") or lock.schema == OWN:
            fault = fault or (f"{lock.name} is a temporary table" if lock.schema != OWN else "")
            continue
        name = lock.name if lock.schema == "public" else f"{lock.schema}.{lock.name}"
        if kind == "v":
            views.add(name)
            continue
        tables.add(name)
        guarded = guarded or bool(lock.row_security)
        if lock.mode not in READS:
            written.add(name)
    return Held(frozenset(tables), frozenset(views), frozenset(written), guarded, fault)


def tags_of(
    source: str, text: str, parameters: Any, now: Held, before: Held
) -> Iterator[tuple[str, str]]:
    """Yield table and tag of what one statement has read, of a transaction that held `before`."""
    new = now.tables - before.tables
    pin = pinned(text, parameters)
    if pin is not None and new <= {pin[0]} and pin[0] in now.tables and not now.is_guarded:
        tags = [value_tag(source, pin[0], pin[1], value) for value in pin[2]]
        if all(tags):
            yield from ((pin[0], tag) for tag in tags if tag)
            return
    for table in _touched(text, now, new):
        yield table, table_tag(source, table)


def _touched(text: str, now: Held, new: frozenset[str]) -> frozenset[str]:
    """Return which of the transaction's tables the statement may have read."""
    hidden = now.is_guarded or now.views or not text or calls_anything(text)
    if hidden:
        return now.tables
    words = set(re.findall(r"[^\W\d]\w*", text.lower()))
    return new | {t for t in now.tables if t.rpartition(".")[2].lower() in words}
