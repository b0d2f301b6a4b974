"""`mergepoint restart`: roll every process of an app, or of all apps.

Place:  cli.main -> [cli.commands.restart] -> supervisor.client
Rule:   one slot at a time, no request lost; exit 1 when a process does not come back.
"""

from __future__ import annotations

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.argument("apps", nargs=-1, shell_complete=complete_apps)
@click.option("--edge", is_flag=True, help="Replace the edge itself; the port stays open.")
@json_option
@common_options
def command(apps: tuple[str, ...], edge: bool) -> None:
    """Roll every process of APPS, or of all apps, even if nothing changed.

    Slot by slot: a new process starts, becomes ready and takes over; the old one finishes what it
    holds and ends. No request is lost.
    """
    from mergepoint.cli.rolling import roll

    if edge and apps:
        raise click.UsageError("--edge replaces the edge and takes no APPS; give one or the other")
    roll("restart", apps, {"edge": True} if edge else {})
