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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORGE = Path(__file__).resolve().parents[2]
SECRET_BYTES = 32
SITE_URL = "http://127.0.0.1:8000"
MAIL_FROM = "Orchard Forge <forge@localhost>"
IN_SITE = "MERGEPOINT_BUS" in os.environ
"""Whether a site runs this app, and there is somebody to tell."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`data` is a directory of this app alone; `shell` holds the menu, templates and assets.

    `site_url` and `mount` make the links in mails; without `smtp_url` mails are kept in `mails`.
    """

    data: Path
    shell: Path
    site_url: str = SITE_URL
    mount: str = "/tickets/"
    smtp_url: str = field(default="", repr=False)
    mail_from: str = MAIL_FROM

    @property
    def mails(self) -> Path:
        """Where mails are kept that no server was named for."""
        return self.data / "mails"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "tickets.db"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``FORGE_*``; a site tells its apps where it is in ``MERGEPOINT_URL``."""
        told = os.environ
        data = Path(told.get("FORGE_DATA", FORGE / ".mergepoint" / "forge")).resolve()
        shell = Path(told.get("FORGE_SHELL", FORGE / "shell")).resolve()
        return cls(
            data=data / "tickets",
            shell=shell,
            site_url=told.get("FORGE_SITE_URL", told.get("MERGEPOINT_URL", SITE_URL)).rstrip("/"),
            mount=read_shell(shell, "tickets")["current"]["path"],
            smtp_url=told.get("FORGE_SMTP", ""),
            mail_from=told.get("FORGE_MAIL_FROM", MAIL_FROM),
        )


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
