"""`mergepoint migrate`: bring the databases to what the apps' code expects.

Place:  cli.main -> [cli.commands.migrate] -> cli.databases, mergepoint.data.migrations
Rule:   one at a time on a database; `--check` changes nothing and fails when something is waiting.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.data.site import Data
    from mergepoint.manifest.site import Site


@click.command()
@click.argument("app", default="")
@click.option("--check", is_flag=True, help="Only say what is waiting; exit 1 if anything is.")
@click.option("--put-right", is_flag=True,
              help="The interrupted step of APP has been undone by hand; go on.")  # fmt: skip
@click.option("--database", default="", metavar="NAME", help="Not the app's own.")
@json_option
@common_options
def command(app: str, check: bool, put_right: bool, database: str) -> None:
    """Run the migrations of APP, or of every app that has a migrations/ directory."""
    from mergepoint.cli.databases import opened
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document, say
    from mergepoint.cli.site import load, require_app

    if put_right and not app:
        raise click.UsageError("--put-right needs the app whose step was undone")
    site = load(invocation())
    names = [require_app(app, site.apps)] if app else migrated(site)
    with opened(site) as databases:
        rows = [_one(site, databases, name, database, check, put_right) for name in names]
    if invocation().as_json:
        document({"apps": rows})
    else:
        if not rows:
            say("No app has a migrations/ directory.")
        for row in rows:
            for step in row["steps"]:
                data(f"{row['app']}: {step['revision']} {step['message']}".rstrip())
            say(f"{row['app']}: {row['state']}")
    if check and any(row["steps"] or row["interrupted"] for row in rows):
        sys.exit(1)


def migrated(site: Site) -> list[str]:
    """Return the apps that have migrations, in the order of the manifest."""
    return [
        name for name, app in site.apps.items() if (_folder(app.directory) / "versions").is_dir()
    ]


def _one(
    site: Site, data: Data, app: str, database: str, check: bool, put_right: bool
) -> dict[str, Any]:
    from mergepoint.cli.databases import database_of
    from mergepoint.core.clock import SystemClock
    from mergepoint.data.migrations.run import look, migrate

    engines = data.engines(database or database_of(site, app))
    folder = _folder(site.apps[app].directory)
    row: dict[str, Any] = {"app": app, "database": engines.database.name, "interrupted": ""}
    if check:
        looked = look(engines, app, folder)
        steps, done = looked.waiting, f"{len(looked.waiting)} waiting"
        if looked.interrupted is not None:
            row["interrupted"] = looked.interrupted.revision
            done = f"step {looked.interrupted.revision} was interrupted; {done}"
    else:
        steps = migrate(engines, SystemClock(), app, folder, put_right=put_right)
        done = f"{len(steps)} done"
    told = [{"revision": one.revision, "message": one.message} for one in steps]
    return {**row, "steps": told, "state": done if told or row["interrupted"] else "up to date"}


def _folder(directory: Path) -> Path:
    from mergepoint.data.migrations.run import FOLDER

    return directory / FOLDER
