"""Every statement of an SQLAlchemy engine, told to the watcher.

Place:  data.site -> [watching.sqlalchemy] -> watching.watch
Rule:   listens; an error of its own would be the app's, so it does nothing that can fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

from mergepoint.data.watching.record import Record
from mergepoint.data.watching.watch import explain_later, seen

BEGAN = "mergepoint_began_s"


def watching(record: Record, database: str) -> Callable[[Engine], None]:
    """Return what watches an engine."""

    def watch(engine: Engine) -> None:
        def before(connection: Any, *_: Any) -> None:
            connection.info[BEGAN] = record.clock.monotonic_s()

        def after(
            connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
        ) -> None:
            del cursor, context, many
            began = connection.info.pop(BEGAN, None)
            if began is None or statement.startswith(("EXPLAIN", "PRAGMA", "BEGIN")):
                return
            took = record.clock.monotonic_s() - began
            entry = seen(record, database, statement, took)
            explain_later(entry, connection, statement, parameters, took)

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)

    return watch
