"""`mergepoint metrics`: print metrics in Prometheus' text format.

Place:  cli.main -> [cli.commands.metrics] -> supervisor.client
Rule:   the text goes to stdout as the edge wrote it.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@json_option
@common_options
def command() -> None:
    """Print metrics in Prometheus' text format.

    The same text is served at /metrics on a listener with `admin = true`.
    """
    import sys

    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document
    from mergepoint.cli.site import running

    text = str(ask(running(invocation()).run_dir, "metrics").get("text", ""))
    if invocation().as_json:
        document({"text": text})
    else:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
