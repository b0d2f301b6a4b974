"""From a plan to the index that would help.

Place:  watching.watch -> [watching.plans] -> the driver's cursor
Rule:   names an index only where a table is read whole for rows picked by a comparison.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

ROWS_MIN = 1000
"""Smaller tables are read whole as fast as by an index."""
_COMPARED = re.compile(r"\(?\"?(\w+)\"?\)?(?:::\w+)? (?:=|>=|<=|>|<) ")
_SCAN = re.compile(r"SCAN (?:TABLE )?(\w+)(?: AS (\w+))?")
_NAME = re.compile(r"[A-Za-z_]\w*")


def hint(kind: str, cursor: Any, sql: str, parameters: Any) -> str:
    """Return `tickets(status)`, several joined by commas; empty when no index is missing."""
    if kind == "sqlite":
        return ", ".join(_of_sqlite(cursor, sql, parameters))
    if kind == "postgresql":
        return ", ".join(_of_postgresql(cursor, sql, parameters))
    return ""


def _of_postgresql(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    cursor.execute("EXPLAIN (FORMAT JSON) " + sql, parameters)
    (plan,) = cursor.fetchone()
    told = json.loads(plan) if isinstance(plan, str) else plan
    for node in _nodes(told[0]["Plan"]):
        column = compared(str(node.get("Filter", "")))
        if node["Node Type"] == "Seq Scan" and column:
            name = node["Relation Name"]
            cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s LIMIT 1", (name,))
            if cursor.fetchone()[0] >= ROWS_MIN:
                yield f"{name}({column})"


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def compared(filter_: str) -> str:
    """Return the first column that is compared with a value; empty for none. Pure."""
    found = _COMPARED.search(filter_)
    return found[1] if found else ""


def _of_sqlite(cursor: Any, sql: str, parameters: Any) -> Iterator[str]:
    cursor.execute("EXPLAIN QUERY PLAN " + sql, parameters)
    for row in cursor.fetchall():
        found = _SCAN.match(row[3])
        if found is None:
            continue
        table = found[1]
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        real = table if cursor.fetchone() else _behind(sql, table)
        if not real or not _NAME.fullmatch(real):
            continue
        cursor.execute(f'SELECT max(rowid) FROM "{real}"')  # noqa: S608 - a name that was checked
        column = compared(_where(sql))
        if column and (cursor.fetchone()[0] or 0) >= ROWS_MIN and _has(cursor, real, column):
            yield f"{real}({column})"


def _has(cursor: Any, table: str, column: str) -> bool:
    cursor.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column))
    return cursor.fetchone() is not None


def _where(sql: str) -> str:
    _, _, after = re.sub(r"\s+", " ", sql).partition(" WHERE ")
    return re.sub(r"\b\w+\.", "", after)


def _behind(sql: str, alias: str) -> str:
    found = re.search(rf"(\w+)\s+(?:AS\s+)?{re.escape(alias)}\b", sql, re.IGNORECASE)
    return found[1] if found else ""
