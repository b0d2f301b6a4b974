"""The log of a PostgreSQL database and the triggers that fill it, as SQL.

Place:  adapters.postgres_install -> [adapters.postgres_triggers]
Rule:   pure text. What runs in an app's transactions never notifies, never waits, and never makes
        a write fail because the table has changed since.

The log is UNLOGGED: a write of it costs no WAL, a crash or a promoted standby empties it together
with the epoch, and that is noticed. `xid` says by which transaction; a snapshot tells which of
them somebody has seen. Triggers are for statements, with transition tables, and fire under
`session_replication_role = replica`, too. Their function runs with its owner's rights, so that
writers need none on the log, and looks up whether its columns still exist: a row of a table whose
key was renamed is told as a change of the whole table.
"""

from __future__ import annotations

from hashlib import md5

from mergepoint.feed.adapters.postgres_tables import EVENTS, SCHEMA, Table, literal, quoted

ROWS_MAX = 100
"""Rows of one statement whose keys are told; of more, the table alone."""
DDL, DROPPED = f"{SCHEMA}_ddl", f"{SCHEMA}_dropped"

BASE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE UNLOGGED TABLE IF NOT EXISTS {SCHEMA}.log"
    " (seq bigint GENERATED ALWAYS AS IDENTITY,"
    " xid xid8 NOT NULL DEFAULT pg_current_xact_id(), name text NOT NULL, op text NOT NULL,"
    " keys jsonb)"
    " WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000)",
    f"CREATE INDEX IF NOT EXISTS log_xid ON {SCHEMA}.log (xid)",
    f"CREATE UNLOGGED TABLE IF NOT EXISTS {SCHEMA}.state"
    " (one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch text NOT NULL,"
    " trimmed xid8 NOT NULL DEFAULT '0')",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.logged (name text PRIMARY KEY, mark text NOT NULL)",
)
REMOVED = (
    f"DROP EVENT TRIGGER IF EXISTS {DDL}",
    f"DROP EVENT TRIGGER IF EXISTS {DROPPED}",
    f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
)

_NAME = "CASE {0} WHEN 'public' THEN '' ELSE {0} || '.' END || {1}"
_TABLE = _NAME.format("TG_TABLE_SCHEMA", "TG_TABLE_NAME")
_PATH = "SET search_path = pg_catalog, pg_temp"


def name_of(event: str) -> str:
    """Return the name of the trigger for an event, the same on every table."""
    return f"{SCHEMA}_{event}"


def function_of(table: Table) -> str:
    """Return the name of a table's function."""
    return f"{SCHEMA}.{quoted(f'changed_{table.oid}')}"


def digest_of(table: Table) -> str:
    """Return what the catalogue says of the function's text while it is the one made here."""
    return md5(body(table).encode(), usedforsecurity=False).hexdigest()


def triggers(table: Table) -> list[str]:
    """Return the statements that give a table its triggers, whatever it had."""
    on = f"{quoted(table.schema)}.{quoted(table.plain)}"
    made = [
        f"CREATE OR REPLACE FUNCTION {function_of(table)}() RETURNS trigger LANGUAGE plpgsql"
        f" SECURITY DEFINER {_PATH} AS {literal(body(table))}"
    ]
    rows = {
        "insert": " REFERENCING NEW TABLE AS new_rows",
        "update": " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "delete": " REFERENCING OLD TABLE AS old_rows",
    }
    for event in EVENTS:
        made += [
            f"DROP TRIGGER IF EXISTS {name_of(event)} ON {on}",
            f"CREATE TRIGGER {name_of(event)} AFTER {event.upper()} ON {on}"
            f"{rows.get(event, '')} FOR EACH STATEMENT EXECUTE FUNCTION {function_of(table)}()",
            f"ALTER TABLE {on} ENABLE ALWAYS TRIGGER {name_of(event)}",
        ]
    return made


def body(table: Table) -> str:
    """Return the text of a table's function."""
    # Of all ways to ask for a column's present name, this one needs no query.
    named = "(pg_identify_object_as_address('pg_class'::regclass, TG_RELID, {})).object_names[3]"
    gone = "TG_OP = 'TRUNCATE'" + "".join(
        f" OR {named.format(number)} IS DISTINCT FROM {literal(column)}"
        for column, number in table.key.items()
    )
    return f"""
BEGIN
  IF {gone} THEN
    INSERT INTO {SCHEMA}.log (name, op) VALUES ({_TABLE}, 'table');
  ELSIF TG_OP = 'INSERT' THEN
    {_insert("insert", _rows(table, "new_rows"), 1)}
  ELSIF TG_OP = 'UPDATE' THEN
    {_insert("update", f"{_rows(table, 'old_rows')} UNION ALL {_rows(table, 'new_rows')}", 2)}
  ELSE
    {_insert("delete", _rows(table, "old_rows"), 1)}
  END IF;
  RETURN NULL;
END
"""


def _rows(table: Table, rows: str) -> str:
    pairs = ", ".join(f"{literal(column)}, {quoted(column)}" for column in table.key)
    most = ROWS_MAX + 1 if table.key else 1
    return f"(SELECT jsonb_build_object({pairs}) AS k FROM {rows} LIMIT {most})"


def _insert(op: str, rows: str, sides: int) -> str:
    most = sides * ROWS_MAX
    return (
        f"INSERT INTO {SCHEMA}.log (name, op, keys) SELECT {_TABLE},"
        f" CASE WHEN count(*) > {most} THEN 'table' ELSE '{op}' END,"
        f" CASE WHEN count(*) <= {most} THEN jsonb_agg(k) END"
        f" FROM ({rows}) AS changed HAVING count(*) > 0;"
    )


def event_triggers() -> list[str]:
    """Return the statements by which changes of tables themselves are logged as they happen."""
    seen = f"""
BEGIN
  IF to_regclass('{SCHEMA}.log') IS NOT NULL THEN
    INSERT INTO {SCHEMA}.log (name, op)
    SELECT DISTINCT {_NAME.format("n.nspname", "c.relname")}, 'table'
    FROM pg_event_trigger_ddl_commands() d
    JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND c.relpersistence <> 't'
      AND n.nspname <> '{SCHEMA}';
  END IF;
END
"""
    dropped = f"""
BEGIN
  IF to_regclass('{SCHEMA}.log') IS NOT NULL THEN
    INSERT INTO {SCHEMA}.log (name, op)
    SELECT DISTINCT {_NAME.format("d.schema_name", "d.object_name")}, 'table'
    FROM pg_event_trigger_dropped_objects() d
    WHERE d.object_type IN ('table', 'view', 'materialized view', 'foreign table')
      AND NOT d.is_temporary AND d.schema_name <> '{SCHEMA}';
  END IF;
END
"""
    made = []
    for name, on, text in (
        (DDL, "ddl_command_end", seen),
        (DROPPED, "sql_drop", dropped),
    ):
        short = name.removeprefix(f"{SCHEMA}_")
        made += [
            f"CREATE OR REPLACE FUNCTION {SCHEMA}.{short}() RETURNS event_trigger"
            f" LANGUAGE plpgsql SECURITY DEFINER {_PATH} AS {literal(text)}",
            f"DROP EVENT TRIGGER IF EXISTS {name}",
            f"CREATE EVENT TRIGGER {name} ON {on} EXECUTE FUNCTION {SCHEMA}.{short}()",
            f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS",
        ]
    return made
