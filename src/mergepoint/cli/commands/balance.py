"""`mergepoint balance`: show CPU beside wall seconds of every route and task, and what they say.

Place:  cli.main -> [cli.commands.balance] -> supervisor.client, assembly.figures, balance.advice
Rule:   what computes most comes first; no advice without the figure it rests on.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.balance.advice import Figures
    from mergepoint.manifest.site import Site

ROUTES_SHOWN = 15

Json = dict[str, Any]


@click.command()
@click.argument("apps", nargs=-1, shell_complete=complete_apps)
@click.option("--all", "show_all", is_flag=True, help="Every route, not the 15 that compute most.")
@json_option
@common_options
def command(apps: tuple[str, ...], show_all: bool) -> None:
    """Show which routes and tasks of APPS compute and which wait, and what to change.

    Python workers measure their first 500 requests and then one of eight: figures are in
    proportion, not totals. CALL is the wall time of one request, CPU the part of it that computes,
    HELD the longest time a request kept its event loop from everybody else. Tasks are measured all.
    """
    from mergepoint.cli.control import ask
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say
    from mergepoint.cli.site import running

    site = running(invocation())
    site.check_apps(apps)
    told = ask(site.run_dir, "figures", apps=list(apps)).get("apps", {})
    working = _tasks(site.site, apps)
    if invocation().as_json:
        measured = {name: _document(app) for name, app in told.items()}
        document({"apps": measured, "tasks": {n: _document(one) for n, one in working.items()}})
        return
    shown = [(name, app, "ROUTE") for name, app in told.items() if app["names"]]
    shown += [(f"{name}.tasks", one, "TASK") for name, one in working.items()]
    if not shown:
        say("No Python worker has answered a request yet, and no task was run.")
        return
    for name, app, what in shown:
        _show(name, app, what, show_all)


def _tasks(site: Site | None, apps: tuple[str, ...]) -> dict[str, Json]:
    """Return what task workers tell, by app, as the supervisor tells it of routes."""
    from mergepoint.assembly.figures import told
    from mergepoint.cli.bus_reach import BusAway, with_bus
    from mergepoint.cli.output import say

    if site is None or site.bus is None:
        return {}
    try:
        processes = with_bus(told)
    except BusAway as away:
        say(f"{away.message}; so these are the figures of routes alone")
        return {}
    found: dict[str, Json] = {}
    for tasks in (each["tasks"] for each in processes if "tasks" in each):
        if apps and tasks["app"] not in apps:
            continue
        one = found.setdefault(
            tasks["app"], {"processes": 0, "names": [], "concurrency": 0, "threads": None}
        )
        one["processes"] += 1
        one["names"] += tasks["names"]
        one["concurrency"] = max(one["concurrency"], tasks["threads"])
        if tasks["auto"]:
            one["threads"] = f"{one['concurrency']} (auto, at most {tasks['threads_max']})"
    return found


def _document(app: Json) -> Json:
    from mergepoint.balance.advice import advise, figures, sizing
    from mergepoint.manifest.machine import Machine

    found = figures(app["names"])
    threads = 0 if app.get("threads") else app["concurrency"]
    return {
        "processes": app["processes"],
        "concurrency": app["concurrency"],
        "threads_auto": bool(app.get("threads")),
        "routes": [{**asdict(of), "cpu_share": round(of.cpu_share, 3)} for of in found],
        "advice": [asdict(one) for one in advise(found, threads=threads)],
        "size": asdict(sizing(found, cpus=Machine(os.environ).cpus)) if found else None,
    }


def _show(name: str, app: Json, what: str, show_all: bool) -> None:
    from mergepoint.balance.advice import advise, figures
    from mergepoint.cli.output import count, data, paint, show_table

    found = figures(app["names"])
    shown = found if show_all else found[:ROUTES_SHOWN]
    sized = f", threads: {app['threads']}" if app.get("threads") else ""
    data(paint(name, "bold") + f"  {count(app['processes'], 'process', 'processes')}{sized}")
    if found:
        show_table((what, "CALLS", "CALL", "CPU", "HELD"), (_row(of) for of in shown))
    if len(found) > len(shown):
        more = count(len(found) - len(shown), what.lower())
        data(f"and {more} more: mergepoint balance {name.removesuffix('.tasks')} --all")
    for one in advise(found, threads=0 if app.get("threads") else app["concurrency"]):
        data(f"{one.name}: {one.why}; {one.change}")
    data("")


def _row(of: Figures) -> tuple[str, ...]:
    call, held = _milliseconds(of.wall_s / of.calls), ""
    if of.kind == "loop":
        held = _milliseconds(of.step_s_max)
    return of.name, str(of.calls), call, f"{of.cpu_share:.0%}", held


def _milliseconds(value_s: float) -> str:
    return f"{value_s * 1000:.1f} ms"
