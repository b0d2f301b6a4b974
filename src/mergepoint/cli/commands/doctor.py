"""`mergepoint doctor`: what would keep a site from running on this machine, each with the fix.

Place:  cli.main -> [cli.commands.doctor] -> cli.doctor_checks
Rule:   looks and never changes anything; works without a manifest and without a running site.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option

SIGNS = {"ok": ("ok", "ok"), "warning": ("warn", "warn"), "failed": ("FAIL", "bad")}


@click.command()
@json_option
@common_options
def command() -> None:
    """Look for what would keep a site from running here.

    Python, the edge binary, limits of open files, owners of the ports, writable directories, the
    apps' environments, systemd, the clock, the kernel. Exit 1 when something would fail.
    """
    from mergepoint.cli.doctor_checks import examine
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, data, document, paint, say
    from mergepoint.core.errors import Exit

    results = examine(invocation())
    failed = sum(result.state == "failed" for result in results)
    warned = sum(result.state == "warning" for result in results)
    if invocation().as_json:
        document({"checks": [result.as_dict() for result in results]})
    else:
        for result in results:
            sign, style = SIGNS[result.state]
            data(f"{paint(f'{sign:<4}', style)}  {result.name:<14} {result.message}")
            if result.fix:
                data(f"{'':<20} fix: {result.fix}")
        if failed or warned:
            say(f"{count(failed, 'failure')}, {count(warned, 'warning')}")
        else:
            say("Everything is fine.")
    if failed:
        click.get_current_context().exit(Exit.FAILED)
