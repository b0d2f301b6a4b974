"""`mergepoint stop`: finish what is open and stop the site.

Place:  cli.main -> [cli.commands.stop] -> supervisor.client
Rule:   returns once everything has ended; `--now` waits for nobody.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for open requests.")
@json_option
@common_options
def command(now: bool) -> None:
    """Finish what is open and stop the site."""
    from mergepoint.cli.control import ask, content
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document
    from mergepoint.cli.progress import ProgressView
    from mergepoint.cli.site import running

    site = running(invocation())
    with ProgressView("stop") as view:
        answer = ask(site.run_dir, "stop", view.show, now=now)
    if invocation().as_json:
        document(content(answer))
    else:
        data(f"{site.name}: stopped")
