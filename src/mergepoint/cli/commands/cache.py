"""`mergepoint cache`: what the edge keeps, why, and how to drop it.

Place:  cli.main -> [cli.commands.cache] -> cli.cache_reach
Rule:   nothing is changed but by `purge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mergepoint.cli.invocation import common_options, json_option

TAIL_S = 1.0
DROPPED = ("changed", "evicted", "flushed", "purged", "released", "source-gone", "written")
"""What becomes of an answer that was kept; other reasons are why one was not."""


@click.group()
@common_options
def command() -> None:
    """Look at what the edge keeps, and drop it."""


@command.command()
@json_option
@common_options
def stats() -> None:
    """Show what is kept, how often it was used, and what was not kept and why."""
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table, size

    found = _ask("cache_stats")
    if invocation().as_json:
        document(found)
        return
    say(f"{found['entries']} answers, {size(found['bytes'])}; {found['evicted']} left for others.")
    show_table(("APP", "HITS", "MISSES", "STORED", "INVALIDATED"), _apps(found))
    refused = sorted(found["refused"].items(), key=lambda item: -item[1])
    if refused:
        say()
        show_table(("NOT KEPT BECAUSE", "TIMES"), [(why, str(count)) for why, count in refused])
    if found["sources"]:
        say()
        show_table(("SOURCE", "READ", "COUNTS FOR", "FLUSHED"), _sources(found["sources"]))


@command.command()
@click.argument("url")
@json_option
@common_options
def why(url: str) -> None:
    """Say whether the answer to URL is kept, what it was made from, and what became of the last."""
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, seconds

    found = _ask("cache_why", url=url)
    if invocation().as_json:
        document(found)
        return
    if found["stored"]:
        say(f"Kept for {seconds(found['age_s'])}.")
        say(f"Made from: {', '.join(found['tags']) or 'nothing that was named'}.")
        if found["vary"]:
            say(f"Chosen by: {', '.join(found['vary'])}.")
    else:
        say("Not kept.")
    if last := found["last"]:
        by = f" by {last['tag']}" if last["tag"] else ""
        source = f" of {last['source']}" if last["source"] else ""
        detail = f": {last['detail']}" if last["detail"] else ""
        said = "dropped" if last["reason"] in DROPPED else "not kept"
        say(f"The last one was {said}: {last['reason']}{by}{source}{detail}.")


@command.command()
@click.option("--tag", "tags", multiple=True, help="Drop what was made from this; repeatable.")
@click.option("--url", help="Drop what is kept for this address.")
@click.option("--prefix", help="Drop what is kept for addresses that begin so.")
@click.option("--all", "everything", is_flag=True, help="Drop everything.")
@json_option
@common_options
def purge(tags: tuple[str, ...], url: str | None, prefix: str | None, everything: bool) -> None:
    """Drop what is kept, as if it had changed; name one of the options."""
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, document, say

    named: dict[str, Any] = {
        name: value
        for name, value in (
            ("tags", list(tags)), ("url", url), ("prefix", prefix), ("all", everything),
        )
        if value
    }  # fmt: skip
    if len(named) != 1:
        raise click.UsageError("name one of --tag, --url, --prefix and --all")
    dropped = int(_ask("cache_purge", **named)["dropped"])
    if invocation().as_json:
        document({"dropped": dropped})
    else:
        say(f"Dropped {count(dropped, 'answer')}.")


@command.command()
@common_options
def tail() -> None:
    """Print every second what was used, kept and dropped, until interrupted."""
    import time

    from mergepoint.cli.output import say

    before = _totals(_ask("cache_stats"))
    while True:
        time.sleep(TAIL_S)
        now = _totals(_ask("cache_stats"))
        if now != before:
            say("  ".join(f"{name} +{now[name] - before.get(name, 0)}" for name in now))
        before = now


def _ask(verb: str, **arguments: Any) -> dict[str, Any]:
    from mergepoint.cli import cache_reach
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.site import running

    return cache_reach.ask(running(invocation()).run_dir, verb, **arguments)


def _totals(found: Mapping[str, Any]) -> dict[str, int]:
    names = ("hits", "misses", "stored", "invalidated", "evicted")
    return {name: int(found[name]) for name in names}


def _apps(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    names = ("hits", "misses", "stored", "invalidated")
    apps: Mapping[str, Mapping[str, int]] = found["apps"]
    return [(app, *(str(counts[name]) for name in names)) for app, counts in sorted(apps.items())]


def _sources(sources: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    from mergepoint.cli.output import seconds

    return [
        (
            name,
            "never" if one["age_s"] is None else f"{seconds(one['age_s'])} ago",
            seconds(one["lease_left_s"]),
            str(one["generation"]),
        )
        for name, one in sorted(sources.items())
    ]
