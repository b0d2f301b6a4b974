"""`mergepoint start`: the site for production, in the foreground, as systemd wants it.

Place:  cli.main -> [cli.commands.start] -> assembly.serve
Rule:   JSON lines on stdout; TERM drains, HUP rolls what changed, nothing is watched.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Listen on this port (also PORT)."
)
@common_options
def command(port: int | None) -> None:
    """Run the site for production, in the foreground.

    Applies the production profile and prints JSON lines. Signals: TERM and INT drain, a second one
    stops now; HUP reads the manifest again and rolls what changed. See docs/how-to/production.md.
    """
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.serving import serve_for_programs

    click.get_current_context().exit(serve_for_programs(invocation(), port=port))
