"""Numbers that contradict each other: min above max, a start outside them, a small budget.

Place:  manifest.load -> [manifest.checks.numbers]
Rule:   pure; single values were checked with their tables.
"""

from __future__ import annotations

from mergepoint.core.problems import Severity
from mergepoint.manifest.site import App, Site
from mergepoint.manifest.tables.amounts import size_text
from mergepoint.manifest.validate import AppDraft, Draft, Report


def check_numbers(site: Site, draft: Draft, report: Report) -> None:
    """Report contradictions between the numbers of an app, and with the site's memory."""
    for app in draft.apps.values():
        if app.sound("processes"):
            _processes(app, report)
        if app.sound("restart"):
            _restart(app, report)
    if "memory" not in draft.site_broken:
        _memory(site, report)


def _processes(app: AppDraft, report: Report) -> None:
    table = app.table.processes
    if table is None:
        return
    path = ("apps", app.name, "processes")
    if table.auto and (table.min or table.max or table.start):
        report.add(path, "auto cannot stand beside min, max or start", fix='write "auto" alone')
        return
    fewest = table.min or 1
    if table.max is not None and fewest > table.max:
        message = f"min {fewest} is more than max {table.max}"
        report.add(path, message, fix=f"write {{ min = {table.max}, max = {fewest} }}")
    elif table.start is not None and not fewest <= table.start <= (table.max or table.start):
        message = f"start {table.start} is outside min {fewest} to max {table.max or table.start}"
        report.add(path, message, fix="leave start out to begin with min")


def _restart(app: AppDraft, report: Report) -> None:
    table = app.table.restart
    path = ("apps", app.name, "restart")
    if table.backoff_s > table.backoff_s_max:
        message = (
            f"backoff_s {table.backoff_s:g} is more than backoff_s_max {table.backoff_s_max:g}"
        )
        report.add(path, message, fix=f"raise backoff_s_max to {table.backoff_s:g}")
    most = app.table.max_requests or table.requests_max
    if table.requests_jitter is not None and table.requests_jitter > most:
        message = f"requests_jitter {table.requests_jitter} is more than requests_max {most}"
        report.add(path, message, fix="leave requests_jitter out for a tenth of requests_max")


def _memory(site: Site, report: Report) -> None:
    budget = site.memory_bytes_max
    if budget is None:
        return
    least = sum(_least_bytes(app) for app in site.apps.values())
    if least > budget:
        report.add(
            ("site", "memory"),
            f"is less than the {size_text(least)} that the fewest processes may use",
            fix="raise it, or lower limits.memory or processes.min",
            value=size_text(budget),
            severity=Severity.WARNING,
        )


def _least_bytes(app: App) -> int:
    if not app.kind.has_processes:
        return 0
    return (app.limits.memory_bytes_max or 0) * app.processes.min
