"""`mergepoint scale`: change how many processes an app has.

Place:  cli.main -> [cli.commands.scale] -> supervisor.client
Rule:   until the next reload of the manifest, which is where a lasting number belongs.
"""

from __future__ import annotations

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.argument("app", shell_complete=complete_apps)
@click.argument("processes", type=click.IntRange(min=1, max=512), metavar="N")
@json_option
@common_options
def command(app: str, processes: int) -> None:
    """Change how many processes APP has, now.

    Returns once the new ones are ready, or the surplus ones have finished what they held.
    """
    from mergepoint.cli.control import ask, content
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, data, document
    from mergepoint.cli.progress import ProgressView
    from mergepoint.cli.site import running

    site = running(invocation())
    site.check_apps((app,))
    with ProgressView(f"scale {app}") as view:
        answer = ask(site.run_dir, "scale", view.show, app=app, processes=processes)
    if invocation().as_json:
        document(content(answer))
        return
    data(f"{app}: {count(int(answer.get('processes', processes)), 'process', 'processes')}")
    data(f"to keep it: processes = {processes} under [apps.{app}] in {site.file.name}")
