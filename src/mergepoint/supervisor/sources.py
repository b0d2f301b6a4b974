"""Tell whether the files of an app have changed: names, sizes and times, never their content.

Place:  assembly.build, supervisor.verbs, supervisor.watch -> [supervisor.sources]
Rule:   what an app writes while it runs is no source: data bases, logs, caches, environments, the
        state directory. Bounded, and slow enough to be called in a thread.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from watchfiles import Change, DefaultFilter

from mergepoint.supervisor.contract import Wanted

FILES_MAX = 20_000
"""Files looked at for one app, in the order of their names; changes beyond them are not seen."""
IGNORED_DIRS = frozenset({*DefaultFilter.ignore_dirs, ".mergepoint", "static", "media"})
VENV_MARK = "pyvenv.cfg"

_default = DefaultFilter(
    ignore_dirs=tuple(IGNORED_DIRS),
    ignore_entity_patterns=(
        *DefaultFilter.ignore_entity_patterns,
        r"\.sqlite3?(-\w+)?$", r"\.db(-\w+)?$", r"\.log(\.\d+)?$",
    ),
)  # fmt: skip


def is_source(kind: Change, path: str) -> bool:
    """Tell whether a changed file may be part of a program: no caches, data bases or logs."""
    return _default(kind, path)


def looked_at(wanted: Wanted) -> Wanted:
    """Return what is wanted, with what the files of every app are now."""
    apps = {
        name: replace(spec, sources=fingerprint(spec.watch, wanted.own_files))
        for name, spec in wanted.apps.items()
    }
    return replace(wanted, apps=apps)


def fingerprint(roots: Iterable[Path], left_out: Iterable[Path] = ()) -> str:
    """Return a digest that changes when a file below `roots` changes; it survives a restart.

    What is in `left_out` is passed over; files that cannot be read count as not there.
    """
    digest = hashlib.sha256()
    count = 0
    ours = {form for path in left_out for form in (str(path), os.path.realpath(path))}
    for root in roots:
        # A link to the newest release is a change when it is set to another one.
        digest.update(f"{root}\0{os.path.realpath(root)}\n".encode(errors="surrogateescape"))
        for path in _files(str(root), ours):
            try:
                found = os.stat(path)  # noqa: PTH116 - one call per file, of many
            except OSError:
                continue
            entry = f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n"
            digest.update(entry.encode(errors="surrogateescape"))
            count += 1
            if count >= FILES_MAX:
                return digest.hexdigest()[:16]
    return digest.hexdigest()[:16]


def _files(root: str, ours: set[str]) -> Iterator[str]:
    """Give the source files below a directory in a fixed order, or the file itself."""
    if not os.path.isdir(root):  # noqa: PTH112
        yield root
        return
    for place, names, files in os.walk(root):
        if place != root and (VENV_MARK in files or os.path.realpath(place) in ours):
            names.clear()
            continue
        names[:] = sorted(name for name in names if name not in IGNORED_DIRS)
        for name in sorted(files):
            path = os.path.join(place, name)  # noqa: PTH118
            if is_source(Change.modified, name) and path not in ours:
                yield path
