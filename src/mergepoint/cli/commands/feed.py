"""`mergepoint feed`: triggers that log changes of databases, and what the hub reads of them.

Place:  cli.main -> [cli.commands.feed] -> cli.feed_reach
Rule:   nothing is changed but by `install` and `remove`; `--sql` only prints what they would run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.feed.contract import Change, Database

POLL_S = 0.2
PAGE = 500


@click.group()
@common_options
def command() -> None:
    """Log the changes of databases, and look at what is read."""


@command.command()
@click.argument("database", required=False)
@click.option("--sql", is_flag=True, help="Print what would be run, and run nothing.")
@json_option
@common_options
def install(database: str | None, sql: bool) -> None:
    """Add the log and its triggers to DATABASE (all of them without one).

    Run it after each migration: what is there already stays as it is.
    """
    from mergepoint.feed.contract import FeedLimits
    from mergepoint.feed.engines import tools_of

    limits = FeedLimits()
    _statements(
        database, sql, "installed",
        lambda one: tools_of(one).plan(one, limits), lambda one: tools_of(one).install(one, limits),
    )  # fmt: skip


@command.command()
@click.argument("database", required=False)
@click.option("--sql", is_flag=True, help="Print what would be run, and run nothing.")
@json_option
@common_options
def remove(database: str | None, sql: bool) -> None:
    """Remove the log and its triggers from DATABASE (all of them without one)."""
    from mergepoint.feed.engines import tools_of

    _statements(
        database, sql, "removed",
        lambda one: tools_of(one).plan_removal(one), lambda one: tools_of(one).remove(one),
    )  # fmt: skip


Work = Callable[["Database"], list[str]]


def _statements(name: str | None, sql: bool, word: str, plan: Work, do: Work) -> None:
    from mergepoint.cli.feed_reach import chosen, site_with_databases
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, data, document, say

    made: dict[str, list[str]] = {}
    for one in chosen(site_with_databases(), name):
        made[one.name] = (plan if sql else do)(one)
        if invocation().as_json:
            continue
        if sql:
            for statement in made[one.name]:
                data(f"{statement.strip()};")
        elif made[one.name]:
            say(f"{one.name}: {word}, {count(len(made[one.name]), 'statement')}")
        else:
            say(f"{one.name}: nothing to do")
    if invocation().as_json:
        document({"databases": made, "ran": not sql})


@command.command()
@click.argument("database", required=False)
@json_option
@common_options
def audit(database: str | None) -> None:
    """Name every table whose changes are not all logged, and what to do. Exits with 1 if any."""
    from mergepoint.cli.feed_reach import audit_json, chosen, site_with_databases
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table
    from mergepoint.core.errors import Exit
    from mergepoint.feed.engines import tools_of

    found = {one.name: tools_of(one).look(one) for one in chosen(site_with_databases(), database)}
    if invocation().as_json:
        document({"databases": {name: audit_json(one) for name, one in found.items()}})
    else:
        for name, one in found.items():
            say(f"{name}: {len(one.tables)} tables are logged")
        rows = [
            (name, f.table, f.fault.value + (f": {f.detail}" if f.detail else ""), f.next)
            for name, one in found.items()
            for f in one.findings
        ]
        if rows:
            show_table(("DATABASE", "TABLE", "WHY NOT", "NEXT"), rows)
    if any(finding.voids for one in found.values() for finding in one.findings):
        raise click.exceptions.Exit(int(Exit.FAILED))


@command.command()
@json_option
@common_options
def status() -> None:
    """Show what the hub reads: how old, from where, and who is told."""
    from mergepoint.cli.feed_reach import asked, site_with_databases
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, seconds, show_table

    told = asked(site_with_databases())
    told.pop("id", None)
    if invocation().as_json:
        document(told)
        return
    audits = told["audits"]
    show_table(
        ("DATABASE", "READS", "LAST READ", "TABLES", "NOT LOGGED", "ERROR"),
        (
            (
                name, str(one["at"]),
                "never" if one["age_s"] is None else f"{seconds(one['age_s'])} ago",
                str(len(audits.get(name, {}).get("tables", ()))),
                str(len(audits.get(name, {}).get("findings", ()))), one["error"],
            )
            for name, one in told["sources"].items()
        ),
    )  # fmt: skip
    say(f"{len(told['edges'])} edges are told")
    if any(one["findings"] for one in audits.values()):
        say("next: mergepoint feed audit")


@command.command()
@click.argument("database", required=False)
@click.option("--count", type=click.IntRange(min=1), help="End after so many changes.")
@json_option
@common_options
def tail(database: str | None, count: int | None) -> None:
    """Print changes of DATABASE as they are committed, until Ctrl-C."""
    import asyncio

    from mergepoint.cli.feed_reach import chosen, site_with_databases

    found = chosen(site_with_databases(), database)
    if len(found) > 1:
        raise click.UsageError(f"name one of {', '.join(one.name for one in found)}")
    asyncio.run(_follow(found[0], count))


async def _follow(database: Database, count: int | None) -> None:
    import asyncio

    from mergepoint.cli.output import say
    from mergepoint.core.clock import SystemClock
    from mergepoint.feed.contract import FeedLimits
    from mergepoint.feed.engines import reader_of

    reader = reader_of(database, FeedLimits(read_s=10.0), SystemClock())
    try:
        position = (await reader.page(None, PAGE)).position
        say(f"following {database.name}; Ctrl-C ends it")
        seen = 0
        while count is None or seen < count:
            batch = await reader.page(position, PAGE)
            position = batch.position
            if batch.gap:
                _show({"gap": True}, "changes are missing here: the log does not reach back")
            for change in batch.changes[: None if count is None else count - seen]:
                _show(_plain(change), _line(change))
            seen += len(batch.changes)
            if not batch.changes:
                await asyncio.sleep(POLL_S)
    finally:
        await reader.close()


def _plain(change: Change) -> dict[str, Any]:
    return {"table": change.table, "op": change.op.value, "key": dict(change.key)}


def _line(change: Change) -> str:
    key = " ".join(f"{column}={value}" for column, value in change.key.items())
    return f"{change.op.value:7} {change.table} {key}".rstrip()


def _show(told: dict[str, Any], text: str) -> None:
    import json

    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import SCHEMA, data

    data(json.dumps({"schema": SCHEMA, **told}) if invocation().as_json else text)
