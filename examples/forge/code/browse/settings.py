"""Where the repositories are and where the shell is; read from the environment once.

Place:  [settings] -> app
Rule:   the only reader of the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """`repositories` is a directory of repositories, or of links to them; `git` a program."""

    repositories: Path
    shell: Path
    git: str = "git"
    path: str = os.defpath

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``FORGE_DATA`` and ``FORGE_SHELL``; both default to the directory of the example."""
        data = Path(os.environ.get("FORGE_DATA", FORGE / ".mergepoint" / "forge"))
        shell = Path(os.environ.get("FORGE_SHELL", FORGE / "shell"))
        path = os.environ.get("PATH", os.defpath)
        git = shutil.which("git", path=path) or "git"
        repositories = data.resolve() / "repositories"
        return cls(repositories=repositories, shell=shell.resolve(), git=git, path=path)


def read_shell(shell: Path, current: str) -> dict[str, Any]:
    """Return the menu of the site with this app marked, and a version for its assets."""
    menu: dict[str, Any] = json.loads((shell / "menu.json").read_text("utf-8"))
    digest = hashlib.sha256()
    for file in sorted((shell / "static").iterdir()):
        digest.update(file.read_bytes())
    menu["current"] = next(app for app in menu["apps"] if app["name"] == current)
    menu["version"] = digest.hexdigest()[:10]
    return menu
