"""`mergepoint run`: the site for development, in the foreground.

Place:  cli.main -> [cli.commands.run] -> assembly.serve
Rule:   prints the first screen when all is ready or has failed; Ctrl-C drains, twice stops now.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Listen on this port (also PORT)."
)
@click.option("--no-reload", is_flag=True, help="Do not watch files.")
@common_options
def command(port: int | None, no_reload: bool) -> None:
    """Run the site for development; a changed app restarts alone.

    Ctrl-C finishes open requests and ends; a second Ctrl-C ends at once.
    """
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.serving import serve_for_people

    asked = invocation()
    code = serve_for_people(asked, port=port, watch=False if no_reload else None)
    click.get_current_context().exit(code)
