"""`mergepoint routes`: which path belongs to which app, in the order they are tried.

Place:  cli.main -> [cli.commands.routes] -> edge.routes
Rule:   from the manifest alone; the site need not run.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@json_option
@common_options
def command() -> None:
    """List which path belongs to which app, in the order they are tried."""
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table
    from mergepoint.cli.site import load
    from mergepoint.cli.targets import serves
    from mergepoint.edge.routes import list_routes

    site = load(invocation())
    routes = list_routes(site)
    if invocation().as_json:
        rows = [
            {
                "host": r.host,
                "path": r.path,
                "app": r.app,
                "kind": r.kind,
                "serves": serves(site.apps[r.app]),
                "origin": str(r.origin),
            }
            for r in routes
        ]
        document({"routes": rows})
        return
    if not routes:
        say("No apps yet. Next: mergepoint add PATH --at /path")
        return
    show_table(
        ("MOUNT", "APP", "KIND", "SERVES", "WRITTEN AT"),
        ((r.mount, r.app, r.kind, serves(site.apps[r.app]), str(r.origin)) for r in routes),
    )
