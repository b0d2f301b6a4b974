"""`mergepoint db`: the site's databases, a shell in one, and what its queries cost.

Place:  cli.main -> [cli.commands.db] -> cli.databases, psql, sqlite3
Rule:   a password is handed on in the environment of the shell, never on a command line.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.data.config import Database

SHELLS = {"sqlite": ("sqlite3", "sqlite3"), "postgresql": ("psql", "postgresql-client")}
"""By kind: the program, and the package it is in."""
SETTINGS = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "host": "PGHOST",
    "port": "PGPORT",
}
"""Parts of an address's query that psql takes from its environment."""


@click.group()
@common_options
def command() -> None:
    """Look at the site's databases, open a shell in one, and see what queries cost."""


@command.command("list")
@json_option
@common_options
def list_() -> None:
    """List the databases, and whether they answer."""
    from mergepoint.cli.databases import opened, site_or_none
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table

    with opened(site_or_none()) as data:
        rows = [_looked(data, one) for one in data.databases]
    if invocation().as_json:
        document({"databases": rows})
    elif not rows:
        say("This site names no database; add [[databases]] to the manifest.")
    else:
        show_table(
            ("NAME", "ADDRESS", "STATE"), ((r["name"], r["address"], r["state"]) for r in rows)
        )


@command.command()
@click.argument("name", default="")
@common_options
def shell(name: str) -> None:
    """Open psql or sqlite3 in the database NAME, or the first one."""
    from mergepoint.cli.databases import databases, site_or_none
    from mergepoint.data.config import chosen
    from mergepoint.data.errors import DataRefused

    program, arguments, environment = shell_of(chosen(databases(site_or_none()), name))
    found = shutil.which(program)
    if found is None:
        package = dict(SHELLS.values())[program]
        raise DataRefused(f"{program} is not installed", next=f"apt install {package}")
    os.execve(found, [program, *arguments], {**os.environ, **environment})  # noqa: S606


@command.command()
@json_option
@common_options
def advice() -> None:
    """Show slow and repeated queries of a site in development, and indexes that would help."""
    from mergepoint.cli.databases import records
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document, paint, say
    from mergepoint.cli.site import load

    entries = advised([one for record in records(load(invocation())) for one in record["queries"]])
    if invocation().as_json:
        document({"advice": entries})
        return
    if not entries:
        say("Nothing to say. Queries are watched where a site runs with mergepoint run.")
    for one in entries:
        data(f"{paint(one['kind'], 'warn')}  {one['say']}")
        data(f"    {' '.join(one['sql'].split())[:200]}")
        data(f"    {paint(one['where'], 'dim')}")


def shell_of(database: Database) -> tuple[str, list[str], dict[str, str]]:
    """Return program, arguments and environment; the password is in the last alone. Pure."""
    from mergepoint.data.engines import parse_url

    url = parse_url(database.url)
    program, _ = SHELLS[url.get_backend_name()]
    if program == "sqlite3":
        return program, [str(url.database)], {}
    told = {
        "PGHOST": url.host or "",
        "PGPORT": str(url.port or ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
    }
    told |= {SETTINGS[name]: str(value) for name, value in url.query.items() if name in SETTINGS}
    return program, [], {name: value for name, value in told.items() if value}


def advised(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is worth a word, the most costly first. Pure."""
    from mergepoint.data.watching.watch import REPEATED_MIN

    entries = []
    for one in sorted(queries, key=lambda one: -one["total_s"]):
        told = {name: one[name] for name in ("database", "sql", "where", "route", "calls", "max_s")}
        route = one["route"] or "a process"
        if one["repeated_max"] >= REPEATED_MIN:
            said = f"{route} asked this {one['repeated_max']} times in one request"
            entries.append({"kind": "repeated", "say": f"{said}; load them together", **told})
        if one["slow"]:
            said = f"{route}: {one['slow']} of {one['calls']} were slow"
            entries.append(
                {"kind": "slow", "say": f"{said}, {one['max_s']:.2f} s the most", **told}
            )
        if one["hint"] not in ("", "-"):
            said = f"an index over {one['hint']} would help {route}"
            entries.append({"kind": "index", "say": said, "index": one["hint"], **told})
    return entries


def _looked(data: Any, one: Database) -> dict[str, Any]:
    from sqlalchemy.exc import SQLAlchemyError

    from mergepoint.data.errors import DataError
    from mergepoint.data.failures import words

    row: dict[str, Any] = {"name": one.name, "address": "", "state": "answers"}
    try:
        engines = data.engines(one.name)
        row["address"] = engines.url.render_as_string(hide_password=True)
        engines.blocking().connect().close()
    except (SQLAlchemyError, DataError) as error:
        row["state"] = words(getattr(error, "orig", None) or error)
    return row
