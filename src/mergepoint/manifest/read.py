"""Find the manifest and read it as TOML, with the line of every key.

Place:  cli, manifest.load -> [manifest.read]
Rule:   the only code that reads the manifest's bytes; a syntax error names line and column.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergepoint.core.errors import ManifestRefused
from mergepoint.core.problems import Problem
from mergepoint.manifest.locate import Lines, key_lines

OWN_NAME = "mergepoint.toml"
SHARED_NAME = "pyproject.toml"
VARIABLE = "MERGEPOINT_CONFIG"
MANIFEST_BYTES_MAX = 1 << 20

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_FIXES = (
    ("Invalid value", "write texts in quotes, and close every [ and {"),
    ("Cannot overwrite", "write each key once"),
    ("Cannot declare", "write each table once"),
    ("Illegal character", "close the quotes on the same line"),
    ("Expected '='", 'write key = "value"'),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as written: its values, and the line of each key path."""

    file: Path
    data: dict[str, Any]
    lines: Lines
    text: str

    @property
    def shown(self) -> str:
        """The name that messages use."""
        return self.file.name


def find_manifest(start: Path, explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the manifest.

    `explicit` (--config) wins over ``MERGEPOINT_CONFIG``, which wins over walking up from `start`
    to the first directory with a mergepoint.toml, or a pyproject.toml with [tool.mergepoint].
    Raise `ManifestRefused`, saying how to begin, when there is none.
    """
    named = explicit or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is not None:
        return _named(start / named, "--config" if explicit else VARIABLE)
    here = start.absolute()
    for directory in (here, *here.parents):
        own, shared = directory / OWN_NAME, directory / SHARED_NAME
        if own.is_file():
            return own
        if shared.is_file() and _has_table(shared):
            return shared
    raise ManifestRefused(
        f"no {OWN_NAME} in {here} or above it",
        next="mergepoint new   (begins a site here; or name a file with --config)",
    )


def _named(path: Path, said_by: str) -> Path:
    found = (path / OWN_NAME if path.is_dir() else path).absolute()
    if not found.is_file():
        raise ManifestRefused(f"{said_by}: there is no file {found}", next="mergepoint new")
    return found


def _has_table(file: Path) -> bool:
    """Tell whether a pyproject.toml has our table, even when it does not parse."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[:MANIFEST_BYTES_MAX]
    except OSError:
        return False
    return re.search(r"^\s*\[+\s*tool\s*\.\s*mergepoint\b", text, re.MULTILINE) is not None


def read_manifest(file: Path) -> Document:
    """Return the document in `file`; raise `ManifestRefused` when it cannot be read or parsed."""
    text = _text(file)
    try:
        data = tomllib.loads(text)
        lines = key_lines(text)
    except RecursionError:
        raise _refused(file, 0, 0, "is nested too deeply", "") from None
    except ValueError as error:
        raise _syntax(file, text, str(error)) from None
    if file.name == OWN_NAME or not _is_shared(file, data):
        return Document(file, data, lines, text)
    own = data["tool"]["mergepoint"]
    if not isinstance(own, dict):
        line = lines.get(("tool", "mergepoint"), 0)
        raise _refused(file, line, 0, "tool.mergepoint must be a table", "write [tool.mergepoint]")
    inner = {path[2:]: line for path, line in lines.items() if path[:2] == ("tool", "mergepoint")}
    return Document(file, own, inner, text)


def _is_shared(file: Path, data: dict[str, Any]) -> bool:
    tool = data.get("tool")
    return file.name == SHARED_NAME and isinstance(tool, dict) and "mergepoint" in tool


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ManifestRefused(
            f"cannot read {file}: {error.strerror}", next="mergepoint new"
        ) from None
    if len(raw) > MANIFEST_BYTES_MAX:
        raise _refused(file, 0, 0, f"is larger than {MANIFEST_BYTES_MAX} bytes", "split the site")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refused(file, line, 0, "is not UTF-8 text", "save the file as UTF-8") from None


def _syntax(file: Path, text: str, message: str) -> ManifestRefused:
    position = _POSITION.search(message)
    line, column = max(1, len(text.splitlines())), 0
    if position and position[1]:
        line, column = int(position[1]), int(position[2])
    said = message[: position.start()] if position else message
    said = re.sub(r"\('.*'\)", lambda found: _dotted(found[0]), said)
    where = " at the end of the file" if position and not position[1] else ""
    fix = next((fix for begin, fix in _FIXES if said.startswith(begin)), "")
    return _refused(file, line, column, f"not TOML: {said[:1].lower()}{said[1:]}{where}", fix)


def _dotted(shown_tuple: str) -> str:
    return '"' + ".".join(re.findall(r"'([^']*)'", shown_tuple)) + '"'


def _refused(file: Path, line: int, column: int, message: str, fix: str) -> ManifestRefused:
    problem = Problem(file.name, line, "", message, fix=fix, column=column)
    return ManifestRefused(str(problem), next="mergepoint check", problems=[problem])
