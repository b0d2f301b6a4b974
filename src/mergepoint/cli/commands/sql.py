"""`mergepoint sql`: SQL methods of the apps, what they cost, and their types.

Place:  cli.main -> [cli.commands.sql] -> cli.databases, mergepoint.data.methods
Rule:   reads files and asks for plans; runs no method.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.data.methods.contract import Method
    from mergepoint.manifest.site import Site

PLACE = click.Path(exists=True, path_type=Path)


@click.group(invoke_without_command=True)
@json_option
@common_options
@click.pass_context
def command(context: click.Context) -> None:
    """List SQL methods with their calls and times; check them; write their types."""
    if context.invoked_subcommand is None:
        _list()


@command.command("list")
@click.argument("places", nargs=-1, type=PLACE)
@json_option
@common_options
def list_(places: tuple[Path, ...]) -> None:
    """List the methods of PLACES, or of every app's queries/ directory."""
    _list(places)


@command.command()
@click.argument("places", nargs=-1, type=PLACE)
@click.option("--database", default="", metavar="NAME", help="Ask this one; else the app's first.")
@json_option
@common_options
def check(places: tuple[Path, ...], database: str) -> None:
    """Check the files, and ask the database whether it takes each statement."""
    from mergepoint.cli.databases import opened, site_or_none
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, document, say
    from mergepoint.data.errors import MethodsRefused
    from mergepoint.data.methods.check import mistake

    site = site_or_none()
    wrong, checked = [], 0
    with opened(site) as data:
        engines = data.engines(database)
        for method in _methods(site, places):
            if method.dialect in ("", engines.kind):
                checked += 1
                said = mistake(engines, method)
                wrong += [f"{method.where}: {method.name}: {said}"] if said else []
    if wrong:
        raise MethodsRefused("\n".join(wrong))
    if invocation().as_json:
        document({"checked": checked})
    else:
        say(f"{count(checked, 'SQL method')} in order")


@command.command()
@click.argument("place", type=PLACE)
@click.option("--class", "class_name", default="Queries", show_default=True, metavar="NAME",
              help="Name of the Protocol.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="File to write; else stdout.")
@common_options
def stubs(place: Path, class_name: str, out: Path | None) -> None:
    """Write a Protocol for type checkers: `q: Queries = site.data.methods(PLACE)`."""
    from mergepoint.cli.output import data, say
    from mergepoint.data.methods.stubs import stub

    if not class_name.isidentifier():
        raise click.UsageError(f"{class_name!r} is no name of a class")
    text = stub(_methods(None, (place,)), class_name)
    if out is None:
        data(text.rstrip("\n"))
        return
    out.write_text(text)
    say(f"wrote {out}")


def _list(places: tuple[Path, ...] = ()) -> None:
    from mergepoint.cli.databases import records, site_or_none
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table

    site = None if places else site_or_none()
    seen = [one["methods"] for one in records(site)] if site is not None else []
    rows = [_row(method, seen) for method in _methods(site, places)]
    if invocation().as_json:
        document({"methods": rows})
        return
    if not rows:
        say("There are no SQL methods. site.data.methods reads queries/*.sql; see sql-methods.md")
        return
    show_table(
        ("METHOD", "RETURNS", "CALLS", "MEAN", "MOST", "WHERE"),
        (
            (
                f"{r['name']}({', '.join(r['parameters'])})", r["shape"], str(r["calls"]),
                _ms(r["mean_s"]), _ms(r["max_s"]), r["where"],
            )
            for r in rows
        ),
    )  # fmt: skip


def _row(method: Method, seen: list[dict[str, Any]]) -> dict[str, Any]:
    counts = [one[method.name] for one in seen if method.name in one]
    own = [one for one in counts if one["where"] == method.where]
    calls = sum(one["calls"] for one in own)
    total = sum(one["total_s"] for one in own)
    return {
        "name": method.name,
        "parameters": [one.name for one in method.parameters],
        "shape": str(method.shape) + (f" {method.target}" if method.target else ""),
        "dialect": method.dialect,
        "where": method.where,
        "calls": calls,
        "mean_s": total / calls if calls else None,
        "max_s": max((one["max_s"] for one in own), default=None),
    }


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _methods(site: Site | None, places: tuple[Path, ...]) -> list[Method]:
    from mergepoint.cli.databases import QUERIES
    from mergepoint.data.methods.library import parsed_of, refuse

    if not places and site is not None:
        folders = {app.directory / QUERIES for app in site.apps.values()}
        places = tuple(sorted(one for one in folders if next(one.rglob("*.sql"), None)))
    methods: list[Method] = []
    for place in places:
        parsed = parsed_of(place)
        refuse(list(parsed.mistakes))
        methods += parsed.methods
    return methods
