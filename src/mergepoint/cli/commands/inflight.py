"""`mergepoint inflight`: show the requests being worked on now.

Place:  cli.main -> [cli.commands.inflight] -> supervisor.client
Rule:   oldest first, at most 1,000 as the edge gives them.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@json_option
@common_options
def command() -> None:
    """Show the requests being worked on now, oldest first."""
    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, seconds, show_table
    from mergepoint.cli.site import running

    requests = ask(running(invocation()).run_dir, "inflight").get("requests", [])
    if invocation().as_json:
        document({"requests": requests})
        return
    if not requests:
        say("No request is being worked on.")
        return
    show_table(
        ("APP", "SLOT", "AGE", "PHASE", "METHOD", "PATH", "REQUEST ID"),
        (
            (
                str(r.get("app", "")),
                "" if r.get("slot") is None else str(r["slot"]),
                seconds(float(r.get("age_s", 0))),
                str(r.get("phase", "")),
                str(r.get("method", "")),
                str(r.get("path", "")),
                str(r.get("request_id", "")),
            )
            for r in requests
        ),
    )
