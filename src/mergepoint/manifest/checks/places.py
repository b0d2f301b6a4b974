"""Directories, interpreters and users that an app needs on this machine.

Place:  manifest.load -> [manifest.checks.places]
Rule:   looks, never runs; what is missing stops its app and no other.
"""

from __future__ import annotations

import os
from pathlib import Path

from mergepoint.core.problems import Severity
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.resolve_app import placed
from mergepoint.manifest.rundir import SOCKET_PATH_BYTES_MAX
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import App, Site, StaticFiles
from mergepoint.manifest.tables.app import AppTable
from mergepoint.manifest.tables.parts import PROCESSES_MAX
from mergepoint.manifest.validate import AppDraft, Draft, Report

SEGMENT_BYTES_MAX = 255


def check_places(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what each app needs and this machine does not have."""
    for app in site.apps.values():
        if app.builtin:
            continue
        written = draft.apps[app.name]
        if written.sound("directory") and not machine.is_dir(app.directory):
            path = ("apps", app.name, "directory")
            fix = f"mkdir -p {app.directory}, or correct the path"
            _stops(
                report, path, f"there is no directory {app.directory}", fix, written.table.directory
            )
        if app.kind.is_python and written.sound("python", "venv", "directory"):
            _python(app, written, report, machine)
        if app.command and written.sound("command"):
            _command(app, report, machine)
        if app.static is not None and written.sound("static", "index", "fallback"):
            _static(app, app.static, site, report, machine)
        if app.kind.has_processes and written.sound("user", "group"):
            _account(app, report, machine)
            _socket(app, site, report)
        for position, watched in enumerate(written.table.watch or ()):
            _watched(app, position, watched, report, machine)


def _stops(report: Report, path: KeyPath, message: str, fix: str, value: object = None) -> None:
    report.add(path, message, fix=fix, value=value, severity=Severity.APP)


def _python(app: App, written: AppDraft, report: Report, machine: Machine) -> None:
    table, python = written.table, app.python
    if python is None or machine.is_runnable(python):
        return
    if table.venv is not None:
        venv = python.parent.parent
        path = ("apps", app.name, "venv")
        if machine.is_dir(venv):
            fix = f"make it again: {venv_command(venv, app, machine)}"
            _stops(report, path, f"{venv} has no python that can be run", fix, table.venv)
        else:
            fix = venv_command(venv, app, machine)
            _stops(report, path, f"there is no virtual environment {venv}", fix, table.venv)
        return
    _no_interpreter(app, table, python, report, machine)


def _no_interpreter(
    app: App, table: AppTable, python: Path, report: Report, machine: Machine
) -> None:
    path = ("apps", app.name, "python")
    if table.python and "/" not in table.python:
        fix = f'install it, or name a path: python = "/opt/{python.name}/bin/python3"'
        _stops(report, path, f"there is no {python.name} on PATH", fix, table.python)
    elif machine.is_file(python):
        _stops(report, path, f"{python} cannot be run", f"chmod +x {python}", table.python)
    else:
        fix = "correct the path, or leave the key out for the interpreter of Mergepoint"
        _stops(report, path, f"there is no interpreter {python}", fix, table.python)


def venv_command(venv: Path, app: App, machine: Machine) -> str:
    """Return the command that makes the environment with what the app asks for."""
    wanted = app.directory / "requirements.txt"
    packages = f"-r {wanted} {app.server}" if machine.is_file(wanted) else app.server
    return f"python3 -m venv {venv} && {venv}/bin/pip install {packages}"


def _command(app: App, report: Report, machine: Machine) -> None:
    program = app.command[0]
    path = ("apps", app.name, "command")
    if "/" in program:
        file = placed(app.directory, program)
        if not machine.is_runnable(file) and machine.is_dir(app.directory):
            fix = f"chmod +x {file}" if machine.is_file(file) else "correct the path"
            _stops(report, path, f"{file} is not a program", fix, program)
    elif not _on_path(program, app, machine):
        fix = f"install it, or write its path; try: command -v {program}"
        _stops(report, path, "its program is not on PATH", fix, program)


def _on_path(program: str, app: App, machine: Machine) -> bool:
    own = app.environment.get("PATH")
    if own is None:
        return machine.find_program(program) is not None
    return any(machine.is_runnable(Path(part) / program) for part in own.split(os.pathsep) if part)


def _static(app: App, static: StaticFiles, site: Site, report: Report, machine: Machine) -> None:
    path = ("apps", app.name, "static")
    if not machine.is_dir(static.root):
        fix = f"mkdir -p {static.root}, or correct the path"
        _stops(report, path, f"there is no directory {static.root}", fix)
    elif static.root in (site.directory, *site.directory.parents):
        fix = "serve a directory of its own"
        report.add(path, f"{static.root} would show the manifest to everybody", fix=fix)
    elif static.root in (site.state_dir, *site.state_dir.parents):
        fix = "move state_dir, or serve another directory"
        report.add(path, f"{static.root} would show the state directory to everybody", fix=fix)
    names = [("index", name) for name in static.index]
    names += [("fallback", static.fallback)] if static.fallback is not None else []
    for key, name in names:
        parts = name.split("/")
        leaves = {"", ".", ".."} & set(parts) or set("\\\0") & set(name)
        if leaves or (key == "index" and len(parts) > 1):
            fix = "name a file inside the static directory"
            report.add(("apps", app.name, key), "leaves the directory", fix=fix, value=name)
        elif key == "fallback" and _lacks(static.root, name, machine):
            fix = "create it, or remove the key"
            _stops(report, ("apps", app.name, key), "is not a file there", fix, name)


def _lacks(root: Path, name: str, machine: Machine) -> bool:
    return machine.is_dir(root) and not machine.is_file(root / name)


def _account(app: App, report: Report, machine: Machine) -> None:
    path = ("apps", app.name, "user")
    if app.user is not None and not machine.has_user(app.user):
        fix = f"useradd --system {app.user}, or correct the name"
        _stops(report, path, "there is no such user", fix, app.user)
    elif app.user is not None and not machine.is_root and not machine.is_self(app.user):
        fix = "start as root, or move the key under [profiles.production]"
        _stops(report, path, "only root can run processes as another user", fix, app.user)
    if app.group is not None and not machine.has_group(app.group):
        fix = f"groupadd --system {app.group}, or correct the name"
        _stops(report, ("apps", app.name, "group"), "there is no such group", fix, app.group)
    if app.limits.child_processes_max is not None and app.user is None and machine.is_root:
        report.add(
            ("apps", app.name, "limits", "processes"),
            "the system does not apply this limit to root",
            fix="give the app a user of its own, or remove the key",
            severity=Severity.WARNING,
        )


def _socket(app: App, site: Site, report: Report) -> None:
    """Sockets of an app with a user of its own lie in a directory of that user, one name longer."""
    if app.user is None:
        return
    name = f"{app.name}.{PROCESSES_MAX}.g{10**6}.sock"
    longest = Path(f"{site.run_dir}.u") / app.user / name
    if len(os.fsencode(longest)) > SOCKET_PATH_BYTES_MAX:
        fix = 'set a short state_dir, such as "/run/acme", or shorten the names'
        message = f"with the app's name is too long for a socket path of {SOCKET_PATH_BYTES_MAX}"
        _stops(report, ("apps", app.name, "user"), message, fix, app.user)


def _watched(app: App, position: int, written: str, report: Report, machine: Machine) -> None:
    place = placed(app.directory, written)
    if not machine.is_file(place) and not machine.is_dir(place):
        report.add(
            ("apps", app.name, "watch", position),
            f"there is nothing at {place}",
            fix="correct the path, or remove it",
            value=written,
            severity=Severity.WARNING,
        )
