"""`mergepoint status`: show apps, processes, memory and failures.

Place:  cli.main -> [cli.commands.status] -> supervisor.client
Rule:   exit 3 when the site does not run; apps without processes come from the manifest.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.option("--check", is_flag=True, help="Exit 1 when an app does not serve.")
@json_option
@common_options
def command(check: bool) -> None:
    """Show apps, the services beside them, processes, memory and failures.

    Exit 3 when the site does not run. With --check also 1 when an app of it does not serve, or a
    service of it does not run.
    """
    from mergepoint.cli.control import ask, content
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document
    from mergepoint.cli.site import running
    from mergepoint.cli.status_view import show_status, with_external
    from mergepoint.core.errors import Exit

    site = running(invocation())
    answer = with_external(ask(site.run_dir, "status"), site.site)
    if invocation().as_json:
        document(content(answer))
    else:
        show_status(answer, site.site, verbose=invocation().verbosity > 0)
    running_now = [*answer["apps"].values(), *answer.get("services", {}).values()]
    if check and any(one.get("state") == "failed" for one in running_now):
        click.get_current_context().exit(Exit.FAILED)
