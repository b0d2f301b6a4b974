"""Secrets that other users of the machine could read.

Place:  manifest.load -> [manifest.checks.secrets]
Rule:   only warns; never shows a value.
"""

from __future__ import annotations

from mergepoint.core.problems import Severity
from mergepoint.manifest.layers import From
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.read import Document
from mergepoint.manifest.resolve_app import placed
from mergepoint.manifest.shown import STARS, is_secret, shown
from mergepoint.manifest.validate import Draft, Report


def check_secrets(document: Document, draft: Draft, report: Report, machine: Machine) -> None:
    """Warn of secrets in a manifest that everybody may read, and of open env files."""
    if machine.is_open_to_others(document.file):
        for path, source in list(report.layers.sources.items()):
            literal = is_secret(path) and STARS in shown(path, report.layers.value(path))
            if literal and source.layer in {From.FILE, From.PROFILE}:
                report.add(
                    path,
                    f"looks like a secret, and every user may read {document.shown}",
                    fix=f"move it to an env_file with mode 600, or chmod 600 {document.shown}",
                    severity=Severity.WARNING,
                )
    for name, app in draft.apps.items():
        base = placed(document.file.parent, app.table.directory)
        for position, written in enumerate(app.table.env_file):
            file = placed(base, written)
            if machine.is_open_to_others(file):
                report.add(
                    ("apps", name, "env_file", position),
                    f"every user may read {file}",
                    fix=f"chmod 600 {file}",
                    severity=Severity.WARNING,
                )
