"""What the manifest asks the machine: is there such a file, user, interpreter; how many CPUs.

Place:  [manifest.machine] -> manifest.resolve, manifest.checks
Rule:   looks, never runs and never writes; every question has an answer, even for absurd paths.
"""

from __future__ import annotations

import grp
import importlib.metadata
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# os.path.isfile and its kin answer False where pathlib raises (a zero byte, a name too long).
# ruff: noqa: PTH112, PTH113, PTH116


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine this process runs on, under one environment."""

    environ: Mapping[str, str]

    def is_file(self, path: Path) -> bool:
        """Tell whether `path` is a file that exists."""
        return os.path.isfile(path)

    def is_dir(self, path: Path) -> bool:
        """Tell whether `path` is a directory that exists."""
        return os.path.isdir(path)

    def is_runnable(self, path: Path) -> bool:
        """Tell whether `path` is a file that may be executed."""
        return os.path.isfile(path) and os.access(path, os.X_OK)

    def is_readable(self, path: Path) -> bool:
        """Tell whether this process may read the file."""
        return os.path.isfile(path) and os.access(path, os.R_OK)

    def is_open_to_others(self, path: Path) -> bool:
        """Tell whether any user of the machine may read the file."""
        try:
            return bool(os.stat(path).st_mode & stat.S_IROTH)
        except (OSError, ValueError):
            return False

    def find_program(self, name: str) -> Path | None:
        """Return the program `name` on PATH."""
        try:
            found = shutil.which(name, path=self.environ.get("PATH", os.defpath))
        except (OSError, ValueError):
            return None
        return Path(found).absolute() if found else None

    def has_package(self, name: str) -> bool:
        """Tell whether Mergepoint's own environment has a distribution of that name."""
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def has_user(self, name: str) -> bool:
        """Tell whether the user, given by name or number, exists."""
        try:
            return bool(pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name))
        except (KeyError, OverflowError, ValueError):
            return False

    def is_self(self, name: str) -> bool:
        """Tell whether the user, given by name or number, is the one this process runs as."""
        try:
            return name == str(os.geteuid()) or pwd.getpwnam(name).pw_uid == os.geteuid()
        except KeyError:
            return False

    def has_group(self, name: str) -> bool:
        """Tell whether the group, given by name or number, exists."""
        try:
            return bool(grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name))
        except (KeyError, OverflowError, ValueError):
            return False

    @property
    def is_root(self) -> bool:
        """Tell whether users can be changed and low ports bound."""
        return os.geteuid() == 0

    @property
    def user_id(self) -> int:
        """The effective user."""
        return os.geteuid()

    @property
    def cpus(self) -> int:
        """CPUs this process may use."""
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )

    @property
    def python(self) -> Path:
        """The interpreter that runs Mergepoint."""
        return Path(sys.executable)
