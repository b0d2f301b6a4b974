"""`mergepoint logs`: show what the processes printed.

Place:  cli.main -> [cli.commands.logs] -> supervisor.client
Rule:   lines as they were printed, oldest first; `-f` goes on until Ctrl-C.
"""

from __future__ import annotations

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.argument("app", required=False, shell_complete=complete_apps)
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0, max=100_000),
    default=100,
    show_default=True,
    help="How many of the last lines.",
)
@json_option
@common_options
def command(app: str | None, follow: bool, lines: int) -> None:
    """Show what the processes of APP, or of all apps, printed.

    `mergepoint logs edge` shows the edge and its access log, `logs hub` what keeps
    messages, `logs APP.tasks` what runs an app's tasks. With --json every line is
    one object.
    """
    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.log_view import LogView
    from mergepoint.cli.output import say
    from mergepoint.cli.site import require_app, running, services_of

    site = running(invocation())
    app = app.lstrip("@") if app else None
    if app is not None and site.site is not None:
        require_app(app, [*site.site.apps, *services_of(site.site), "edge", "supervisor"])
    arguments: dict[str, object] = {"lines": lines, "follow": follow}
    if app is not None:
        arguments["app"] = app
    view = LogView()
    ask(site.run_dir, "logs", view.show, **arguments)
    if not view.shown and lines:
        say("Nothing was printed yet.")
