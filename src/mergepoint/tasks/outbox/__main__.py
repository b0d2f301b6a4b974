"""Make the table of an outbox: `python -m mergepoint.tasks.outbox sqlite:////srv/app.db`.

Place:  a person, a deployment -> [outbox.__main__] -> outbox.rows
Rule:   with `--sql` it only prints, for migrations of the app's own.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence

from mergepoint.bus.errors import BusError
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.rows import TABLE, ddl

USAGE = "usage: python -m mergepoint.tasks.outbox [--sql] sqlite:////path | postgresql://..."


def main(arguments: Sequence[str]) -> int:
    """Make the table, or print how; return the exit code."""
    urls = [one for one in arguments if not one.startswith("-")]
    if len(urls) != 1 or set(arguments) - {*urls, "--sql"}:
        sys.stderr.write(USAGE + "\n")
        return 2
    (url,) = urls
    dialect = url.partition(":")[0].partition("+")[0].replace("postgres", "postgresql")
    dialect = dialect.replace("postgresqlql", "postgresql")
    try:
        statements = ddl(dialect)
        if "--sql" in arguments:
            sys.stdout.write(";\n".join(statements) + ";\n")
        else:
            _make(dialect, url, statements)
            sys.stdout.write(f"{TABLE} is there\n")
    except BusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _make(dialect: str, url: str, statements: Sequence[str]) -> None:
    if dialect == "sqlite":
        from mergepoint.tasks.outbox.relay_sqlite import path_of

        try:
            connection = sqlite3.connect(path_of(url))
            for statement in statements:
                connection.execute(statement)
            connection.close()
        except sqlite3.Error as error:
            raise OutboxRefused(f"{url}: {error}") from None
    elif dialect == "postgresql":
        import psycopg

        scheme, _, rest = url.partition("://")
        try:
            with psycopg.connect(f"{scheme.partition('+')[0]}://{rest}") as connected:
                for statement in statements:
                    connected.execute(statement.encode())
        except psycopg.Error as error:
            raise OutboxRefused(str(error).strip()) from None
    else:
        raise OutboxRefused(f"no driver here for {dialect}", next="use --sql and your own client")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
