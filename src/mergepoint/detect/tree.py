"""A bounded picture of a project directory: names, and the text of what can tell a framework.

Place:  cli.add, cli.check -> [detect.tree] -> detect.*
Rule:   the only file of this package that reads; everything after it decides over this picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

FILES_MAX = 4000
"""Names looked at; a larger tree is cut, and says so."""
DEPTH_MAX = 8
TEXT_BYTES_MAX = 512 * 1024
"""Larger files are data or generated, never the place where an app is made."""
TOTAL_BYTES_MAX = 32 * 1024 * 1024

SKIPPED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", "env", "build", "dist", "target"}
)
"""Directories that never hold an app's own source; names that begin with a dot are skipped too."""
READ_SUFFIXES = frozenset(
    {".py", ".toml", ".txt", ".cfg", ".ini", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako"}
    | {".pt", ".tpl", ".js", ".mjs", ".cjs", ".ts"}
)
READ_NAMES = frozenset({"Procfile", "package.json", "Pipfile", "go.mod", "Cargo.toml", "config.ru"})


@dataclass(frozen=True, slots=True)
class Tree:
    """Every path below `root` (posix, relative, sorted) and the text of those worth reading."""

    root: Path
    names: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """The directory was larger than the bounds; something may have been missed."""
    directories: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        """Tell whether this relative path is a file or directory of the tree."""
        return name in self.directories or name in self.texts or name in self.names

    def python(self) -> Iterator[tuple[str, str]]:
        """Yield every Python file with its text, nearest to the root first."""
        for name in sorted(self.texts, key=lambda n: (n.count("/"), n)):
            if name.endswith(".py"):
                yield name, self.texts[name]


def read_tree(root: Path) -> Tree:
    """Read the picture of `root`; never more than the bounds of this file, never through links."""
    names: list[str] = []
    texts: dict[str, str] = {}
    directories: set[str] = set()
    total, cut = 0, False
    for directory, name, is_directory in _walk(root):
        relative = f"{directory}/{name}" if directory else name
        if is_directory:
            directories.add(relative)
            continue
        if len(names) >= FILES_MAX or total >= TOTAL_BYTES_MAX:
            cut = True
            break
        names.append(relative)
        if wanted(relative):
            text = _text(root / relative)
            if text is not None:
                texts[relative] = text
                total += len(text)
    return Tree(root, tuple(sorted(names)), texts, cut, frozenset(directories))


def wanted(name: str) -> bool:
    """Tell whether a file's text can say something about how its app is served."""
    path = PurePosixPath(name)
    return path.suffix in READ_SUFFIXES or path.name in READ_NAMES


def _walk(root: Path) -> Iterator[tuple[str, str, bool]]:
    for base, directories, files in os.walk(root, followlinks=False):
        relative = os.path.relpath(base, root)
        relative = "" if relative == "." else relative.replace(os.sep, "/")
        depth = relative.count("/") + 1 if relative else 0
        directories[:] = sorted(d for d in directories if _own(Path(base), d))
        for name in directories:
            yield relative, name, True
        if depth >= DEPTH_MAX:
            directories[:] = []
        for name in sorted(files):
            yield relative, name, False


def _own(base: Path, name: str) -> bool:
    if name in SKIPPED or name.startswith(".") or name.endswith(".egg-info"):
        return False
    return not (base / name / "pyvenv.cfg").exists()


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > TEXT_BYTES_MAX:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
