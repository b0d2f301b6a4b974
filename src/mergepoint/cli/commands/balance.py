"""`mergepoint balance`: show CPU beside wall seconds of every route, and what they say.

Place:  cli.main -> [cli.commands.balance] -> supervisor.client, balance.advice
Rule:   the routes that compute most come first; no advice without the figure it rests on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option

ROUTES_SHOWN = 15


@click.command()
@click.argument("apps", nargs=-1, shell_complete=complete_apps)
@click.option("--all", "show_all", is_flag=True, help="Every route, not the 15 that compute most.")
@json_option
@common_options
def command(apps: tuple[str, ...], show_all: bool) -> None:
    """Show which routes of APPS compute and which wait, and what to change.

    Python workers measure their first 500 requests and then one of eight: figures are in
    proportion, not totals. CALL is the wall time of one request, CPU the part of it that computes,
    HELD the longest time a request kept its event loop from everybody else.
    """
    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say
    from mergepoint.cli.site import running

    site = running(invocation())
    site.check_apps(apps)
    told = ask(site.run_dir, "figures", apps=list(apps)).get("apps", {})
    if invocation().as_json:
        document({"apps": {name: _document(app) for name, app in told.items()}})
        return
    if not any(app["names"] for app in told.values()):
        say("No Python worker has answered a request yet.")
        return
    for name, app in told.items():
        _show(name, app, show_all)


def _document(app: Mapping[str, Any]) -> dict[str, Any]:
    from mergepoint.balance.advice import advise, figures, sizing
    from mergepoint.manifest.machine import Machine

    found = figures(app["names"])
    return {
        "processes": app["processes"],
        "concurrency": app["concurrency"],
        "routes": [{**asdict(of), "cpu_share": round(of.cpu_share, 3)} for of in found],
        "advice": [asdict(one) for one in advise(found, threads=app["concurrency"])],
        "size": asdict(sizing(found, cpus=Machine(os.environ).cpus)) if found else None,
    }


def _show(name: str, app: Mapping[str, Any], show_all: bool) -> None:
    from mergepoint.balance.advice import advise, figures
    from mergepoint.cli.output import count, data, paint, show_table

    found = figures(app["names"])
    if not found:
        return
    shown = found if show_all else found[:ROUTES_SHOWN]
    data(paint(name, "bold") + f"  {count(app['processes'], 'process', 'processes')}")
    show_table(
        ("ROUTE", "CALLS", "CALL", "CPU", "HELD"),
        (
            (
                of.name,
                str(of.calls),
                _milliseconds(of.wall_s / of.calls),
                f"{of.cpu_share:.0%}",
                _milliseconds(of.step_s_max) if of.kind == "loop" else "",
            )
            for of in shown
        ),
    )
    if len(found) > len(shown):
        data(f"and {count(len(found) - len(shown), 'route')} more: mergepoint balance {name} --all")
    for one in advise(found, threads=app["concurrency"]):
        data(f"{one.name}: {one.why}; {one.change}")
    data("")


def _milliseconds(value_s: float) -> str:
    return f"{value_s * 1000:.1f} ms"
