"""Which framework an app of a site is written in, and its version, for people to read.

Place:  cli.serving, cli.status -> [detect.serving]
Rule:   looks at the target's own file and the names in its environment; never imports, never fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mergepoint.detect.frameworks import MOST_TELLING, PACKAGES
from mergepoint.detect.tree import TEXT_BYTES_MAX
from mergepoint.manifest.site import App, Kind

FILES_MAX = 12
"""Files of the app that are followed from its target."""

_DIST_INFO = re.compile(r"^([A-Za-z0-9._-]+?)-(\d[^-]*)\.dist-info$")
_KIND_WORDS = {
    Kind.STATIC: "static files",
    Kind.REDIRECT: "redirect",
    Kind.HTTP: "HTTP service",
    Kind.TOGETHER: "together",
}


def framework_of(app: App) -> str:
    """Return ``Flask 3.1``, ``static files``, ``node``, or ``WSGI`` when nothing tells more."""
    if app.kind is Kind.COMMAND:
        return Path(app.command[0]).name if app.command else "command"
    if app.kind not in {Kind.WSGI, Kind.ASGI}:
        return _KIND_WORDS.get(app.kind, str(app.kind))
    package = _package(app)
    if not package:
        return str(app.kind).upper()
    version = installed(app.python).get(package, "") if app.python else ""
    return f"{PACKAGES[package]} {'.'.join(version.split('.')[:2])}".strip()


def installed(python: Path, python_path: str = "") -> dict[str, str]:
    """Return distribution name (lower case, hyphens) to version of an interpreter's environment.

    The directories of `python_path`, the app's PYTHONPATH, come before it.
    """
    root = python.parent.parent
    found: dict[str, str] = {}
    extra = [Path(entry) for entry in python_path.split(":") if entry]
    inside = (*root.glob("lib/python3*/site-packages"), *root.glob("Lib/site-packages"))
    for directory in (*inside, *(path for path in reversed(extra) if path.is_dir())):
        found.update(_distributions(directory))
    return found


@lru_cache(maxsize=64)
def _distributions(directory: Path) -> dict[str, str]:
    matches = (_DIST_INFO.match(entry.name) for entry in directory.iterdir())
    return {canonical(m[1]): m[2] for m in matches if m is not None}


def canonical(name: str) -> str:
    """Return a distribution name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(app: App) -> str:
    """Return the most telling framework package imported by the target or what it imports."""
    module = app.target.partition(":")[0]
    if module.split(".")[0] in PACKAGES:
        return module.split(".")[0]
    seen: set[str] = set()
    waiting, imported = [module], set[str]()
    while waiting and len(seen) < FILES_MAX:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for found in _imports(app.directory, name):
            top = found.split(".")[0]
            imported.add(top)
            if top == module.split(".")[0]:
                waiting.append(found)
    return next((p for p in MOST_TELLING if p in imported), "")


def _imports(directory: Path, module: str) -> Iterator[str]:
    base = directory.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        try:
            if path.stat().st_size > TEXT_BYTES_MAX:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(tree):
            yield from _names(node, package)


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".") if node.level else []
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
        if base:
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
