"""Marks of effects in the app's own database, so that an effect and its mark are one commit.

Place:  tasks.context -> [tasks.effects]
Rule:   never begins, commits or rolls back: the transaction is the handler's.
"""

from __future__ import annotations

from typing import Any

from mergepoint.bus.errors import NotCapable

TABLE = """CREATE TABLE IF NOT EXISTS mergepoint_once (
    task VARCHAR(64) NOT NULL, effect VARCHAR(200) NOT NULL, PRIMARY KEY (task, effect))"""
"""Made where it is missing; an app that has no right to that makes it in a migration."""
EFFECT_CHARACTERS_MAX = 200
_INSERT = "INSERT INTO mergepoint_once (task, effect) VALUES ({0}, {0}) ON CONFLICT DO NOTHING"


def mark_in(connection: Any, task: str, key: str) -> bool:
    """Mark the effect in the connection's transaction; False when it was marked before.

    Any: drivers share no type. Raises `NotCapable` for connections that are neither.
    """
    if len(key) > EFFECT_CHARACTERS_MAX:
        raise NotCapable(f"an effect of {len(key)} characters; {EFFECT_CHARACTERS_MAX} at most")
    module = type(connection).__module__.partition(".")[0]
    if hasattr(connection, "connection") and module == "sqlalchemy":
        found = connection.connection
        # A Session has a method of that name, a Connection an attribute.
        connection = (found() if callable(found) else connection).connection.driver_connection
        module = type(connection).__module__.partition(".")[0]
    sign = {"sqlite3": "?", "psycopg": "%s", "psycopg2": "%s"}.get(module)
    if sign is None:
        raise NotCapable(
            f"once() knows no connections of {module}",
            next="pass one of sqlite3, psycopg or SQLAlchemy over these",
        )
    cursor = connection.cursor()
    try:
        cursor.execute(TABLE)
        cursor.execute(_INSERT.format(sign), (task, key))
        return bool(cursor.rowcount == 1)
    finally:
        cursor.close()
