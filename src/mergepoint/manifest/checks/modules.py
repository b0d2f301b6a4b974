"""Look for the modules of Python apps and the names in them, without importing a line.

Place:  manifest.load -> [manifest.checks.modules]
Rule:   speaks only when sure: a module that may be installed or generated is left to the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergepoint.core.problems import Severity
from mergepoint.manifest.checks.names import Names, names_in
from mergepoint.manifest.checks.search import Found, find_module, search_paths
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.shown import KeyPath, quoted
from mergepoint.manifest.site import App, Kind, Site
from mergepoint.manifest.tables.forms import parse_target
from mergepoint.manifest.validate import AppDraft, Draft, Report
from mergepoint.manifest.words import nearest


@dataclass(frozen=True, slots=True)
class Written:
    """A target as it stands in the manifest."""

    path: KeyPath
    text: str


def check_modules(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report modules that are certainly missing, and names that a module certainly lacks."""
    for app in site.apps.values():
        if app.builtin:
            continue
        written = draft.apps[app.name]
        if not app.kind.is_python or not written.sound("directory", "python", "venv", app.kind):
            continue
        if not machine.is_dir(app.directory):
            continue
        paths = search_paths(app, machine)
        for target in _targets(app, written):
            _look(app, target, paths, report)


def _targets(app: App, written: AppDraft) -> list[Written]:
    base: KeyPath = ("apps", app.name)
    if app.kind is not Kind.TOGETHER:
        text = written.table.wsgi or written.table.asgi
        return [Written((*base, app.kind.value), text)] if text else []
    return [
        Written((*base, "together", position, "wsgi" if member.wsgi else "asgi"), text)
        for position, member in enumerate(written.table.together or ())
        if (text := member.wsgi or member.asgi)
    ]


def _look(app: App, written: Written, paths: tuple[Path, ...] | None, report: Report) -> None:
    target = parse_target(written.text)
    found = find_module(target.module, app.directory, paths)
    if found is Found.MISSING:
        report.add(
            written.path,
            f"there is no module {target.module} in {app.directory} or the app's environment",
            fix="correct the name or `directory`, or install what has it",
            value=written.text,
            severity=Severity.APP,
        )
    elif isinstance(found, Path):
        names = names_in(found)
        if names is not None:
            _judge(written, target.text.partition(":")[2], target.factory, found, names, report)


def _judge(
    written: Written, attribute: str, factory: bool, file: Path, names: Names, report: Report
) -> None:
    name = attribute.partition(".")[0]
    if name not in names.all and not names.open_ended:
        report.add(
            written.path,
            f"{file.name} has no {quoted(name)} at its top level",
            fix=nearest(name, names.all) or "correct the name after the colon",
            value=written.text,
            severity=Severity.WARNING,
        )
    elif attribute in names.factories and not factory:
        report.add(
            written.path,
            f"{attribute} takes no arguments, so it is a factory and not an application",
            fix=f'write "{written.text}()"',
            value=written.text,
            severity=Severity.WARNING,
        )
