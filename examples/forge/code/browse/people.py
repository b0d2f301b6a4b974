"""Who asks: what the frame of a page shows of them.

Place:  mergepoint.identity -> [people] -> rendering
Rule:   pure; nobody says who they are, whoever runs this app has proven it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mergepoint.identity import Identity

IMPORT = "code.import"


def visitor(menu: Mapping[str, Any], who: Identity, here: str) -> dict[str, Any]:
    """Return the account part of the frame, without what is closed to them."""

    def open_to(entries: list[dict[str, str]]) -> list[dict[str, str]]:
        return [e for e in entries if not e.get("permission") or who.may(e["permission"])]

    account = menu["account"]
    name = who.name or who.user
    return {
        "user": who.user,
        "name": name,
        "initial": name[:1],
        "login": f"{account['login']}?next={quote(here, safe='')}",
        "logout": account["logout"],
        "links": open_to(account["links"]),
        "apps": open_to(menu["apps"]),
    }
