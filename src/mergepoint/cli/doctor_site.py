"""What this site needs from the machine: its manifest, ports, directories, environments.

Place:  cli.doctor_checks -> [cli.doctor_site]
Rule:   asks about the loaded site; nothing is started, written, or bound for longer than a look.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mergepoint.cli.checkup import port_problems
from mergepoint.cli.control import is_running
from mergepoint.cli.doctor_result import Check, Result
from mergepoint.cli.first_screen import url_of
from mergepoint.cli.invocation import Invocation
from mergepoint.cli.output import count, short
from mergepoint.cli.site import load
from mergepoint.detect.serving import installed
from mergepoint.manifest.site import Kind, Site

DISK_BYTES_WANTED = 200 << 20
"""Free space below which logs will soon have nowhere to go."""
SERVERS = {"uwsgi": "uwsgi"}
"""Distributions whose name differs from the server's key; all others are equal."""


def checks(asked: Invocation) -> tuple[Check, ...]:
    """Return the checks of the site this invocation is about; raises what loading it raises."""
    site = load(asked)

    def manifest() -> Iterator[Result]:
        warnings = len(site.problems)
        fix = "mergepoint check" if warnings else ""
        state = "warning" if warnings else "ok"
        found = f"{short(site.file)}: {count(len(site.apps), 'app')}, {count(warnings, 'warning')}"
        yield Result("manifest", state, found, fix)

    def ports() -> Iterator[Result]:
        yield from _ports(site)

    def directories() -> Iterator[Result]:
        yield from _directories(site)

    def environments() -> Iterator[Result]:
        yield from _environments(site)

    def bus() -> Iterator[Result]:
        from mergepoint.cli.doctor_bus import check

        yield from check(site)

    return (manifest, ports, directories, environments, *((bus,) if site.bus else ()))


def _ports(site: Site) -> Iterator[Result]:
    if is_running(site.run_dir):
        yield Result("ports", "ok", "the site is running and holds them")
        return
    busy = port_problems(site)
    for problem in busy:
        yield Result("ports", "failed", problem.message, problem.fix)
    if not busy:
        yield Result("ports", "ok", f"free: {' '.join(url_of(one) for one in site.listeners)}")


def _directories(site: Site) -> Iterator[Result]:
    for path in dict.fromkeys((site.state_dir, site.run_dir)):
        there = _nearest(path)
        if os.access(there, os.W_OK | os.X_OK):
            yield Result("directories", "ok", f"{short(path)} can be written")
        else:
            fix = f"chown {os.geteuid()} {there}, or set state_dir under [site]"
            yield Result("directories", "failed", f"{there} cannot be written", fix)
    free = shutil.disk_usage(_nearest(site.state_dir)).free
    shown = f"{free / 2**30:.1f} GiB free for logs and records"
    if free < DISK_BYTES_WANTED:
        yield Result("disk", "warning", shown, f"df -h {_nearest(site.state_dir)}")
    else:
        yield Result("disk", "ok", shown)


def _nearest(path: Path) -> Path:
    """Return the nearest directory above `path` that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _environments(site: Site) -> Iterator[Result]:
    for name, failure in site.failures.items():
        where = f"{failure.where}: " if failure.where else ""
        yield Result(name, "failed", f"{where}{failure.reason}", failure.next)
    for name, app in site.apps.items():
        if name in site.failures or app.python is None or app.kind is Kind.COMMAND:
            continue
        present = installed(app.python, app.environment.get("PYTHONPATH", ""))
        server = SERVERS.get(app.server, app.server)
        environment = short(app.python.parent.parent)
        if server in present:
            yield Result(name, "ok", f"{server} {present[server]} in {environment}")
        else:
            fix = f"{app.python} -m pip install {server}"
            yield Result(name, "failed", f"no {server} in {environment}", fix)
