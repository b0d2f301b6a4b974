"""Where Python would look for a module, judged from the files alone.

Place:  manifest.checks.modules -> [manifest.checks.search]
Rule:   reads directories and .pth files, runs nothing; answers unknown when it could be wrong.
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path

from mergepoint.manifest.machine import Machine
from mergepoint.manifest.site import App

PTH_FILES_MAX = 100
PTH_BYTES_MAX = 1 << 16


class Found(Enum):
    """What is known of a module when its file is not."""

    MISSING = "missing"
    UNKNOWN = "unknown"


def find_module(module: str, directory: Path, paths: tuple[Path, ...] | None) -> Path | Found:
    """Return the module's file; MISSING when surely absent; UNKNOWN when only Python can tell.

    `directory` is looked at first; `paths` is None when the rest cannot be known.
    """
    parts = module.split(".")
    for base in (directory, *(paths or ())):
        if not _top_exists(base, parts[0]):
            continue
        file = base.joinpath(*parts)
        for candidate in (file.with_name(f"{parts[-1]}.py"), file / "__init__.py"):
            if _is_file(candidate):
                return candidate
        compiled = _any(file.parent, f"{parts[-1]}.*")
        namespace = _is_dir(file)
        return Found.UNKNOWN if compiled or namespace or base != directory else Found.MISSING
    if paths is None or parts[0] in sys.stdlib_module_names:
        return Found.UNKNOWN
    return Found.MISSING


def search_paths(app: App, machine: Machine) -> tuple[Path, ...] | None:
    """Return the directories of installed packages, or None when a .pth file hides some."""
    if app.python is None or not machine.is_runnable(app.python):
        return None
    if app.python == machine.python:
        sites = [Path(entry) for entry in sys.path if entry]
    else:
        root = app.python.parent.parent
        sites = sorted(root.glob("lib/python3*/site-packages"))
        if not sites or not machine.is_file(root / "pyvenv.cfg") or _sees_system(root):
            return None
    extra = [Path(entry) for entry in app.environment.get("PYTHONPATH", "").split(":") if entry]
    hidden: list[Path] = []
    for site in sites:
        linked = _linked(site)
        if linked is None:
            return None
        hidden += linked
    return (*extra, *sites, *hidden)


def _sees_system(root: Path) -> bool:
    try:
        text = (root / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return "include-system-site-packages = true" in text.lower()


def _linked(site: Path) -> list[Path] | None:
    """Return the directories that .pth files add, or None when one runs code."""
    linked: list[Path] = []
    try:
        files = sorted(site.glob("*.pth"))
        if len(files) > PTH_FILES_MAX:
            return None
        for file in files:
            if file.name in {"distutils-precedence.pth", "_virtualenv.pth"}:
                continue
            for line in file.read_bytes()[:PTH_BYTES_MAX].decode(errors="replace").splitlines():
                if line.startswith(("import ", "import\t")):
                    return None
                if line.strip() and not line.startswith("#"):
                    linked.append(site / line.strip())
    except OSError:
        return None
    return linked


def _top_exists(base: Path, name: str) -> bool:
    return _is_dir(base / name) or _any(base, f"{name}.*")


def _any(directory: Path, pattern: str) -> bool:
    try:
        return any(
            file.suffix in {".py", ".so", ".pyc", ".pyd"} for file in directory.glob(pattern)
        )
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
