"""The menu of the site, for every template.

Place:  config.settings -> [shell] -> templates
Rule:   read once; this app knows the others only from that file.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest


@cache
def read_shell() -> dict[str, Any]:
    """Return the menu with this app marked, and a version for the shell's assets."""
    menu: dict[str, Any] = json.loads((settings.SHELL / "menu.json").read_text("utf-8"))
    digest = hashlib.sha256()
    for file in sorted((settings.SHELL / "static").iterdir()):
        digest.update(file.read_bytes())
    menu["current"] = next(app for app in menu["apps"] if app["name"] == "wiki")
    named = {app["name"]: app.get("named", "") for app in menu["apps"]}
    menu["tickets"] = named.get("tickets", "")
    menu["version"] = digest.hexdigest()[:10]
    return menu


def context(_request: HttpRequest) -> dict[str, Any]:
    """Give templates the `shell`."""
    return {"shell": read_shell()}
