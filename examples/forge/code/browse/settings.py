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
IMPORT_FROM = "https://"
IN_SITE = "MERGEPOINT_BUS" in os.environ
"""Whether a site runs this app, and there is somebody to do what takes long."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`repositories` is a directory of repositories, or of links to them; `git` a program.

    `import_from` are the beginnings of URLs, and the directories, that may be imported from.
    """

    repositories: Path
    shell: Path
    git: str = "git"
    path: str = os.defpath
    import_from: tuple[str, ...] = (IMPORT_FROM,)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``FORGE_*``; data and shell default to the directory of the example."""
        data = Path(os.environ.get("FORGE_DATA", FORGE / ".mergepoint" / "forge"))
        shell = Path(os.environ.get("FORGE_SHELL", FORGE / "shell"))
        path = os.environ.get("PATH", os.defpath)
        git = shutil.which("git", path=path) or "git"
        repositories = data.resolve() / "repositories"
        listed = os.environ.get("FORGE_IMPORT_FROM", IMPORT_FROM).split(",")
        return cls(
            repositories=repositories,
            shell=shell.resolve(),
            git=git,
            path=path,
            import_from=tuple(place.strip() for place in listed if place.strip()),
        )


def read_shell(shell: Path, current: str) -> dict[str, Any]:
    """Return the menu of the site with this app marked, and a version for its assets."""
    menu: dict[str, Any] = json.loads((shell / "menu.json").read_text("utf-8"))
    digest = hashlib.sha256()
    for file in sorted((shell / "static").iterdir()):
        digest.update(file.read_bytes())
    menu["current"] = next(app for app in menu["apps"] if app["name"] == current)
    menu["version"] = digest.hexdigest()[:10]
    return menu
