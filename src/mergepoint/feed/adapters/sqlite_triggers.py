"""The log of a SQLite file and the triggers that fill it, as SQL.

Place:  adapters.sqlite_install -> [adapters.sqlite_triggers]
Rule:   pure text; every program that writes to the file runs this, so it uses what any SQLite has.

One row for each row that changed, in the writer's own transaction. Writers are serialised, so
`seq` is the order of the commits. `nonce` tells a log that was restored from one that went on.
A row's key is written as SQL literals joined by commas: `quote` exists everywhere, JSON does not.
"""

from __future__ import annotations

import json

from mergepoint.feed.adapters.sqlite_tables import OWN, Table, literal, quoted

LOG, STATE = f"{OWN}feed_log", f"{OWN}feed_state"
PREFIX = f"{OWN}feed_"
BOUND = f"{PREFIX}bound"
STEPS = 100
"""Old rows are removed a hundredth of the log at a time, not with each new one."""


def schema(keep_rows_max: int) -> dict[str, str]:
    """Return what is made once in each file, by name; the log bounds itself."""
    return {
        STATE: f"CREATE TABLE {STATE}"
        " (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL)",
        LOG: f"CREATE TABLE {LOG} (seq INTEGER PRIMARY KEY, nonce INTEGER NOT NULL,"
        " name TEXT NOT NULL, columns TEXT NOT NULL, op TEXT NOT NULL, key TEXT NOT NULL)",
        BOUND: f"CREATE TRIGGER {BOUND} AFTER INSERT ON {LOG}"
        f" WHEN NEW.seq % {max(1, keep_rows_max // STEPS)} = 0 BEGIN"
        f" DELETE FROM {LOG} WHERE seq <= NEW.seq - {keep_rows_max}; END",
    }


def triggers(table: Table) -> dict[str, str]:
    """Return the triggers of one table by name."""
    made = {
        _name("insert", table): _trigger("insert", "AFTER INSERT", table, ["NEW"]),
        _name("update", table): _trigger("update", "AFTER UPDATE", table, ["OLD", "NEW"]),
        _name("delete", table): _trigger("delete", "AFTER DELETE", table, ["OLD"]),
    }
    for event in ("insert", "update"):
        displaced = _displaced(table, event)
        if displaced:
            name = f"{PREFIX}replace_{event}_{table.name}"
            made[name] = (
                f"CREATE TRIGGER {quoted(name)} BEFORE {event.upper()} ON {quoted(table.name)}"
                f" BEGIN {displaced} END"
            )
    return made


def _name(event: str, table: Table) -> str:
    return f"{PREFIX}{event}_{table.name}"


def _trigger(op: str, when: str, table: Table, sides: list[str]) -> str:
    name = quoted(_name(op, table))
    if table.is_opaque:
        body = _insert(table, "table", "''")
    else:
        # An update that leaves its key alone is one row, not two.
        same = " AND ".join(f"OLD.{quoted(c)} IS NEW.{quoted(c)}" for c in table.key) or "1"
        body = " ".join(
            _insert(
                table, op, _row(table, side), f" WHERE NOT ({same})" if side != sides[-1] else ""
            )
            for side in sides
        )
    return f"CREATE TRIGGER {name} {when} ON {quoted(table.name)} BEGIN {body} END"


def _insert(table: Table, op: str, row: str, condition: str = "") -> str:
    values = (literal(table.name), literal(json.dumps(table.key)), literal(op), row)
    return (
        f"INSERT INTO {LOG} (nonce, name, columns, op, key)"
        f" SELECT random(), {', '.join(values)}{condition};"
    )


def _row(table: Table, side: str) -> str:
    values = [f"quote({side}.{quoted(column)})" for column in table.key]
    return " || ',' || ".join(values) or "''"


def _displaced(table: Table, event: str) -> str:
    """Return what logs the rows that REPLACE removes without firing a trigger for them.

    Needed where a row can be displaced whose key is not that of the new one, or whose declared
    columns may have had other values.
    """
    if table.is_opaque or not table.key:
        return ""
    if all({column for column, _ in one} >= set(table.key) for one in table.unique):
        return ""
    same = " OR ".join(
        "(" + " AND ".join(f"{quoted(c)} = NEW.{quoted(c)} COLLATE {n}" for c, n in one) + ")"
        for one in table.unique
    )
    itself = ""
    if event == "update":
        columns = [quoted(column) for column in table.primary] or ["rowid"]
        itself = " AND NOT (" + " AND ".join(f"{c} IS OLD.{c}" for c in columns) + ")"
    key = " || ',' || ".join(f"quote({quoted(column)})" for column in table.key)
    return _insert(table, "update", key, f" FROM {quoted(table.name)} WHERE ({same}){itself}")
