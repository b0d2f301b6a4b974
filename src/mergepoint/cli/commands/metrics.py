"""`mergepoint metrics`: print metrics in Prometheus' text format.

Place:  cli.main -> [cli.commands.metrics] -> supervisor.client, assembly.figures
Rule:   the edge's text goes to stdout as the edge wrote it; what the bus tells stands behind it.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@json_option
@common_options
def command() -> None:
    """Print metrics in Prometheus' text format: of the edge, and of the bus and tasks if there are.

    The edge's are also served at /metrics on a listener with `admin = true`; those of the bus and
    of tasks are gathered by this command, from every process that has the bus open.
    """
    import sys

    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document
    from mergepoint.cli.site import running

    site = running(invocation())
    text = str(ask(site.run_dir, "metrics").get("text", ""))
    if text and not text.endswith("\n"):
        text += "\n"
    if site.site is not None and site.site.bus is not None:
        text += _of_bus()
    if invocation().as_json:
        document({"text": text})
    else:
        sys.stdout.write(text)


def _of_bus() -> str:
    from mergepoint.assembly.figures import samples
    from mergepoint.bus.exposition import text
    from mergepoint.cli.bus_reach import BusAway, with_bus
    from mergepoint.cli.output import say

    try:
        return text(with_bus(samples))
    except BusAway as away:
        say(f"{away.message}; so these are the metrics of the edge alone")
        return ""
