"""What the tables of a PostgreSQL database are like, as far as their triggers need to know.

Place:  adapters.postgres_install -> [adapters.postgres_tables] -> the catalogue
Rule:   statements and what their rows mean; needs no right but to connect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.feed.contract import Database

SCHEMA = "mergepoint_feed"
OWN = "mergepoint"
"""Tables and schemas of Mergepoint's own begin so: they are on no page."""
EVENTS = ("insert", "update", "delete", "truncate")

MARK = f"""
  c.oid || ':' || (SELECT string_agg(t.tgname || '=' || t.oid, ',' ORDER BY t.tgname)
    FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE '{SCHEMA}\\_%')
  || ':' || COALESCE((SELECT string_agg(k.kin::text, ',' ORDER BY k.kin)
    FROM (SELECT inhparent AS kin FROM pg_inherits WHERE inhrelid = c.oid
      UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid) k), '')
"""
"""What changes when a table, its triggers or those it shares rows with become others."""
TABLES = f"""
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
  COALESCE((SELECT jsonb_object_agg(a.attname, a.attnum)
    FROM pg_attribute a LEFT JOIN pg_collation co ON co.oid = a.attcollation
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype,
        'varchar'::regtype, 'uuid'::regtype)
      AND COALESCE(co.collisdeterministic, true)), '{{}}') AS spelled,
  COALESCE((SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = c.oid AND i.indisprimary), '{{}}') AS key,
  COALESCE((SELECT jsonb_object_agg(t.tgname, ARRAY[t.tgenabled::text, t.oid::text,
      md5(p.prosrc)])
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = c.oid AND t.tgname LIKE 'mergepoint\\_feed\\_%'), '{{}}') AS triggers,
  {MARK} AS mark,
  EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid) AS subscribed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname NOT LIKE '{OWN}%' AND c.relname NOT LIKE '{OWN}\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 2, 3
"""
"""Every table that is no extension's, with the columns whose equal values are spelled alike."""
PARENTS = "SELECT inhrelid::bigint, inhparent::bigint FROM pg_inherits"
EVENT_TRIGGERS = f"""
SELECT evtname::text, evtenabled::text FROM pg_event_trigger WHERE evtname LIKE '{SCHEMA}\\_%'
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, partition, foreign table or materialised view."""

    oid: int
    schema: str
    plain: str
    kind: str
    key: Mapping[str, int]
    """Columns of its primary key and declared ones whose values can be spelled, by name."""
    unspelled: tuple[str, ...]
    triggers: Mapping[str, Sequence[str]]
    """Our triggers by name: enabled, oid, digest of the function."""
    mark: str
    """See `MARK`; empty without triggers."""
    subscribed: bool
    """Another server's changes are applied to it."""

    @property
    def name(self) -> str:
        """As tags and the manifest name it."""
        return self.plain if self.schema == "public" else f"{self.schema}.{self.plain}"

    @property
    def takes_triggers(self) -> bool:
        """Tell whether it is an ordinary or partitioned table."""
        return self.kind in {"r", "p"}


def tables_from(rows: Iterable[Sequence[Any]], database: Database) -> list[Table]:
    """Return the rows of `TABLES` that are wanted. Any: columns of a row."""
    found = []
    for oid, schema, plain, kind, spelled, primary, triggers, mark, subscribed in rows:
        name = plain if schema == "public" else f"{schema}.{plain}"
        declared = database.keys.get(name, ())
        wanted = list(dict.fromkeys([*primary, *declared]))
        key = {column: spelled[column] for column in wanted if column in spelled}
        unspelled = tuple(column for column in declared if column not in key)
        if database.wants(name):
            found.append(
                Table(oid, schema, plain, kind, key, unspelled, triggers, mark or "", subscribed)
            )
    return found


def relatives_from(
    parents: Iterable[Sequence[int]], tables: Sequence[Table]
) -> dict[str, tuple[str, ...]]:
    """Return for each table its parents and children, near and far: they share rows."""
    names = {table.oid: table.name for table in tables}
    up: dict[int, set[int]] = {}
    down: dict[int, set[int]] = {}
    for child, parent in parents:
        up.setdefault(child, set()).add(parent)
        down.setdefault(parent, set()).add(child)
    found = {
        table.name: tuple(sorted(names[o] for o in _all(table.oid, up) | _all(table.oid, down)
                                 if o in names))
        for table in tables
    }  # fmt: skip
    return {name: others for name, others in found.items() if others}


def _all(start: int, steps: Mapping[int, set[int]]) -> set[int]:
    found: set[int] = set()
    waiting = [start]
    while waiting:
        for other in steps.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def quoted(name: str) -> str:
    """Return a name as PostgreSQL reads it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as PostgreSQL reads it with standard_conforming_strings on."""
    return "'" + text.replace("'", "''") + "'"
