"""Everything `check` looks at: the manifest, what it points to, ports, and clashes between apps.

Place:  cli.commands.check -> [cli.checkup] -> manifest.load, detect
Rule:   findings of every source become `Problem`s, in one list, by file and line.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergepoint.cli.invocation import Invocation
from mergepoint.cli.output import short
from mergepoint.core.problems import Problem, Severity, in_order

if TYPE_CHECKING:
    from mergepoint.manifest.site import Listener, Site


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found; `refused` means that the manifest itself cannot be used."""

    file: str
    problems: tuple[Problem, ...]
    refused: bool
    apps: int

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the `--json` document."""
        return {
            "file": self.file,
            "refused": self.refused,
            "apps": self.apps,
            "problems": [problem_dict(problem) for problem in self.problems],
        }


def problem_dict(problem: Problem) -> dict[str, Any]:
    """Return one problem for JSON."""
    return {
        "severity": str(problem.severity),
        "where": problem.where,
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
        "value": problem.value,
        "fix": problem.fix,
        "app": problem.app,
    }


def checkup(asked: Invocation) -> Checkup:
    """Look at everything; raise `ManifestRefused` only when there is no manifest."""
    from mergepoint.cli.site import look, manifest_file

    file = manifest_file(asked)
    loaded = look(asked)
    problems = list(loaded.problems)
    site = loaded.site
    if site is not None:
        problems += port_problems(site)
        problems += app_problems(site)
    count = len(site.apps) if site is not None else 0
    return Checkup(short(file), in_order(problems), site is None, count)


def port_problems(site: Site) -> list[Problem]:
    """Return a problem for every port that cannot be bound; none while the site itself runs."""
    from mergepoint.cli.control import is_running

    if is_running(site.run_dir):
        return []
    found = []
    for listener in site.listeners:
        problem = _port_problem(site, listener)
        if problem is not None:
            found.append(problem)
    return found


def _port_problem(site: Site, listener: Listener) -> Problem | None:
    from mergepoint.cli.ports import bind_error, free_port, owner_of, split_address

    if listener.address.startswith("unix:"):
        return None
    host, port = split_address(listener.address)
    number = bind_error(host, port)
    if not number:
        return None
    origin = site.origins.get("listen")
    if number == errno.EADDRINUSE:
        message = f"port {port} is in use by {owner_of(port)}"
        free = free_port(host, port)
        fix = f"mergepoint run --port {free}" if free else "stop it or choose another port"
    elif number == errno.EACCES:
        message = f"port {port} needs rights this user does not have"
        fix = "let systemd open it (docs/how-to/production.md), or use a port from 1024 up"
    else:
        message = f"{listener.address} cannot be bound: {errno.errorcode.get(number, number)}"
        fix = "use an address of this machine"
    file, line = (origin.file, origin.line) if origin else (site.file.name, 0)
    return Problem(file, line, "site.listen", message, fix=fix, severity=Severity.WARNING)


def app_problems(site: Site) -> list[Problem]:
    """Return what the apps' own sources say about clashes, links, ports and settings."""
    from mergepoint.detect.preflight import site_findings

    found = []
    for name, finding in site_findings(site):
        app = site.apps[name]
        place = (
            f" ({finding.where})" if finding.where and finding.where not in finding.message else ""
        )
        message = finding.message + place
        severity = Severity.APP if finding.severity == "error" else Severity.WARNING
        found.append(
            Problem(
                app.origin.file,
                app.origin.line,
                f"apps.{name}",
                message,
                fix=finding.fix,
                severity=severity,
                app=name,
            )
        )
    return found
