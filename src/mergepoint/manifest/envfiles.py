"""Read files of NAME=value lines: the .env beside the manifest, and each app's env_file.

Place:  manifest.load -> [manifest.envfiles]
Rule:   a missing .env is fine, a missing env_file is reported; values never reach a message.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from mergepoint.core.problems import Severity
from mergepoint.manifest.resolve_app import placed
from mergepoint.manifest.validate import Draft, Report

ENV_FILE_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class Dotenv:
    """Variables of a file, and the line each stands on."""

    variables: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def read(self, file: Path) -> bool:
        """Take in the file; return False when it cannot be read or is not text."""
        try:
            text = file.read_bytes()[:ENV_FILE_BYTES_MAX].decode("utf-8")
        except (OSError, ValueError):
            return False
        if "\0" in text:
            return False
        for binding in parse_stream(io.StringIO(text)):
            if binding.key:
                self.lines[binding.key] = binding.original.line + _leading(binding.original.string)
        values = dotenv_values(stream=io.StringIO(text), interpolate=True)
        self.variables |= {name: value for name, value in values.items() if value is not None}
        return True


def _leading(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


def read_env_files(
    draft: Draft, directory: Path, report: Report
) -> Mapping[Path, Mapping[str, str]]:
    """Return the variables of every env_file by its path; report those that cannot be read."""
    found: dict[Path, Mapping[str, str]] = {}
    for name, app in draft.apps.items():
        base = placed(directory, app.table.directory)
        for written in app.table.env_file:
            file = placed(base, written)
            dotenv = Dotenv()
            if file not in found and not dotenv.read(file):
                report.add(
                    ("apps", name, "env_file"),
                    f"there is no readable file {file}",
                    fix="create it, or remove the key",
                    value=written,
                    severity=Severity.APP,
                )
                continue
            found.setdefault(file, dotenv.variables)
    return found
