"""Where this app keeps its data and finds the shell; read from the environment once.

Place:  [settings] -> app, prepare
Rule:   the only reader of the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORGE = Path(__file__).resolve().parents[2]
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """`data` is a directory of this app alone; `shell` holds the menu, templates and assets."""

    data: Path
    shell: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "tickets.db"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``FORGE_DATA`` and ``FORGE_SHELL``; both default to the directory of the example."""
        data = Path(os.environ.get("FORGE_DATA", FORGE / ".mergepoint" / "forge"))
        shell = Path(os.environ.get("FORGE_SHELL", FORGE / "shell"))
        return cls(data=data.resolve() / "tickets", shell=shell.resolve())


def secret_key(data: Path) -> bytes:
    """Return the key that signs sessions, shared by every worker; made on the first call."""
    file = data / "secret"
    if not file.exists():
        data.mkdir(parents=True, exist_ok=True)
        made = data / f".secret.{os.getpid()}"
        made.touch(0o600)
        made.write_bytes(secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):
            file.hardlink_to(made)  # whole at once, and only for the first who comes
        made.unlink()
    return file.read_bytes()


def read_shell(shell: Path, current: str) -> dict[str, Any]:
    """Return the menu of the site with this app marked, and a version for its assets."""
    menu: dict[str, Any] = json.loads((shell / "menu.json").read_text("utf-8"))
    digest = hashlib.sha256()
    for file in sorted((shell / "static").iterdir()):
        digest.update(file.read_bytes())
    menu["current"] = next(app for app in menu["apps"] if app["name"] == current)
    menu["version"] = digest.hexdigest()[:10]
    return menu
