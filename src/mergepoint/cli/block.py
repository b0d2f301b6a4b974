"""The lines `mergepoint add` writes, and how they come to the end of a manifest.

Place:  cli.adding -> [cli.block] -> mergepoint.toml
Rule:   what is already in the file stays byte for byte; a result that does not load is taken back.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mergepoint.core.errors import MergepointError
from mergepoint.detect.candidate import Candidate, Serve
from mergepoint.manifest.tables.app import APP_NAME

APP_NAME_MAX = 32


class NotWritten(MergepointError):
    """The manifest could not be changed; it is as it was."""

    code = "cli.not_written"


@dataclass(frozen=True, slots=True)
class Entry:
    """An app to be written."""

    name: str
    at: str
    candidate: Candidate
    venv: Path | None = None


def app_name(text: str) -> str:
    """Return the nearest allowed app name: lower case, a letter first, 32 at most."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    name = re.sub(r"^[^a-z]+", "", name)[:APP_NAME_MAX].rstrip("-_")
    return name if APP_NAME.match(name) else "app"


def block_of(entry: Entry, manifest: Path) -> str:
    """Return the TOML table of one app, with paths relative to the manifest."""
    candidate, base = entry.candidate, manifest.parent
    table = "tool.mergepoint.apps" if manifest.name == "pyproject.toml" else "apps"
    lines = [f"# {candidate.framework}, found at {candidate.where}", f"[{table}.{entry.name}]"]
    if candidate.serve is Serve.COMMAND:
        lines.append(f"command = {_array(candidate.command)}")
    else:
        lines.append(f"{candidate.serve} = {_text(candidate.target)}")
    if candidate.serve is not Serve.HTTP:
        lines.append(f"directory = {_text(_relative(candidate.directory, base))}")
    lines.append(f"at = {_text(entry.at)}")
    beside = candidate.directory / ".venv"
    if entry.venv is not None and entry.venv != beside:
        lines.append(f"venv = {_text(_relative(entry.venv, base))}")
    return "\n".join(lines) + "\n"


def append(manifest: Path, block: str, is_sound: Callable[[], str]) -> int:
    """Append `block`, and take it back when `is_sound` names an error; return its line.

    Raises `NotWritten` with the error; the file is then as it was.
    """
    try:
        before = manifest.read_bytes()
    except OSError as error:
        raise NotWritten(f"cannot read {manifest}: {error.strerror}") from error
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    separator = b"\n" if before.strip() else b""
    head = before + gap + separator
    _replace(manifest, head + block.encode())
    error_text = is_sound()
    if error_text:
        _replace(manifest, before)
        raise NotWritten(
            f"{manifest.name} with the new app would be refused, so it was left as it was:\n"
            f"{error_text}",
            next="add it by hand; `--dry-run` prints the lines",
        )
    return head.count(b"\n") + 2  # the comment stands on the line before


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, keeping its permissions and following a link to it."""
    target = path.resolve()
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=".mergepoint-", delete=False
        ) as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        written = Path(new.name)
        written.chmod(target.stat().st_mode & 0o7777)
        written.replace(target)
    except OSError as error:
        raise NotWritten(
            f"cannot write {path}: {error.strerror}", next="look at its permissions and the disk"
        ) from error


def _relative(path: Path, base: Path) -> str:
    """Return `path` as the manifest writes it: relative unless far away."""
    text = os.path.relpath(path, base)
    return str(path) if text.startswith("../../..") else text


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _array(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"
