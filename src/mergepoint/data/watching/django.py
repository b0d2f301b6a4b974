"""Every statement of Django's, told to the watcher: `watching.django.install(site.data)`.

Place:  an app's own code, development -> [watching.django] -> watching.watch
Rule:   a wrapper on each connection that opens; nothing where nobody watches.
"""

from __future__ import annotations

from typing import Any, Protocol

from mergepoint.data.watching.record import Record
from mergepoint.data.watching.watch import EXPLAIN_S, REPEATED_MIN, seen


class Watched(Protocol):
    """`site.data`."""

    @property
    def record(self) -> Record | None:
        """Where it is kept what was seen."""
        ...


def install(data: Watched) -> bool:
    """Watch every connection from now on; return whether anybody does. Again: no change."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    record = data.record
    if record is None:
        return False

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = record.clock.monotonic_s()
        result = execute(sql, params, many, context)
        took = record.clock.monotonic_s() - began
        entry = seen(record, context["connection"].alias, sql, took)
        costly = took >= EXPLAIN_S or entry.repeated_max >= REPEATED_MIN
        if costly and not entry.hint and not many and sql.startswith("SELECT"):
            entry.hint = _hint(context["connection"], sql, params)
        return result

    def opened(connection: Any, **_: Any) -> None:
        if not any(one.__name__ == wrapper.__name__ and one.__module__ == __name__
                   for one in connection.execute_wrappers):  # fmt: skip
            connection.execute_wrappers.append(wrapper)

    connection_created.connect(opened, weak=False, dispatch_uid="mergepoint.data.watching")
    for connection in connections.all(initialized_only=True):
        opened(connection)
    return True


def _hint(connection: Any, sql: str, params: Any) -> str:
    from mergepoint.data.watching import plans

    cursor = connection.connection.cursor()
    try:
        if connection.vendor == "sqlite":
            sql = sql.replace("%s", "?").replace("%%", "%")
        return plans.hint(connection.vendor, cursor, sql, params) or "-"
    except Exception:
        return "-"
    finally:
        cursor.close()
