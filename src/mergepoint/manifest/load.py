"""Load a manifest: read, layer, validate, resolve, check; a `Site`, or every error at once.

Place:  cli, assembly -> [manifest.load] -> edge, supervisor
Rule:   the one door to the manifest; no other code puts these steps together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergepoint.core.endpoints import Failure
from mergepoint.core.errors import ManifestRefused
from mergepoint.core.problems import Problem, Severity, in_order
from mergepoint.manifest.checks import check_site
from mergepoint.manifest.envfiles import Dotenv, read_env_files
from mergepoint.manifest.layers import Layers
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.profiles import gather
from mergepoint.manifest.read import Document, read_manifest
from mergepoint.manifest.resolve import Setting, resolve_site
from mergepoint.manifest.site import Mode, Site
from mergepoint.manifest.validate import Draft, Report, validate


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything known about a manifest after one look, whether it is sound or not."""

    document: Document | None
    site: Site | None
    """None when there is an error."""
    draft: Draft | None
    layers: Layers
    mode: Mode
    problems: tuple[Problem, ...]


def load_site(
    path: Path,
    *,
    profile: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> Site:
    """Return the resolved site.

    `overrides` are flags by dotted key (``site.access_log``, ``apps.tickets.processes``) and the
    two short ones ``port`` and ``host``. Raise `ManifestRefused` with every error at once. An app
    that cannot start on this machine is no error: it is in `Site.failures`, and the rest runs.
    """
    loaded = inspect(path, profile=profile, environ=environ, overrides=overrides)
    if loaded.site is None:
        raise refusal(loaded.problems)
    return loaded.site


def refusal(problems: tuple[Problem, ...]) -> ManifestRefused:
    """Return the error that lists every problem, one per line."""
    count = sum(problem.severity is Severity.ERROR for problem in problems)
    lines = "\n".join(str(problem) for problem in problems)
    return ManifestRefused(
        f"{count} error{'s' if count != 1 else ''} in the manifest\n{lines}",
        next="mergepoint check",
        problems=problems,
    )


def inspect(
    path: Path,
    *,
    profile: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Return everything that can be said about the manifest; never raises for its content."""
    try:
        document = read_manifest(path.absolute())
    except ManifestRefused as refused:
        problems = refused.problems or (
            Problem(path.name, 0, "", refused.message, fix=refused.next),
        )
        return Loaded(None, None, None, Layers(), Mode.DEVELOPMENT, problems)
    dotenv = Dotenv()
    report = Report(Layers(), document.shown)
    mode = gather(document, report, profile, environ, dotenv, overrides or {})
    draft = validate(report)
    env_files = read_env_files(draft, document.file.parent, report)
    machine = Machine(environ)
    setting = Setting(
        document.file, profile, mode, machine, report.layers, dotenv.variables, env_files
    )
    site = resolve_site(draft, setting)
    check_site(site, draft, document, report, machine)
    problems = in_order(report.problems)
    broken = any(problem.severity is Severity.ERROR for problem in problems)
    failures = {
        p.app: _failure(p) for p in reversed(problems) if p.severity is Severity.APP and p.app
    }
    site = replace(site, problems=problems, failures=failures)
    return Loaded(document, None if broken else site, draft, report.layers, mode, problems)


def _failure(problem: Problem) -> Failure:
    value = f" (is {problem.value})" if problem.value is not None else ""
    return Failure(f"{problem.path}: {problem.message}{value}", problem.where, problem.fix)
