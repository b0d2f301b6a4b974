"""Where the shell is and where the site answers; read from the environment once.

Place:  [settings] -> app
Rule:   the only reader of the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORGE = Path(__file__).resolve().parents[2]
SITE_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Settings:
    """`site_url` is where the other apps are asked; never taken from a request.

    `token` is the front's own, for a site where reading needs a login; empty for none.
    """

    shell: Path
    site_url: str = SITE_URL
    token: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``FORGE_*``; a site tells its apps where it is in ``MERGEPOINT_URL``."""
        shell = Path(os.environ.get("FORGE_SHELL", FORGE / "shell"))
        told = os.environ.get("MERGEPOINT_URL", SITE_URL)
        site_url, token = os.environ.get("FORGE_SITE_URL", told), os.environ.get("FORGE_TOKEN", "")
        return cls(shell=shell.resolve(), site_url=site_url, token=token)


def read_shell(shell: Path, current: str) -> dict[str, Any]:
    """Return the menu of the site with this app marked, and a version for its assets."""
    menu: dict[str, Any] = json.loads((shell / "menu.json").read_text("utf-8"))
    digest = hashlib.sha256()
    for file in sorted((shell / "static").iterdir()):
        digest.update(file.read_bytes())
    menu["current"] = next(app for app in menu["apps"] if app["name"] == current)
    menu["version"] = digest.hexdigest()[:10]
    return menu
