"""Who asks: what the frame of a page shows of them, and the name under which they write.

Place:  mergepoint.identity -> [people] -> app, views
Rule:   nobody says who they are; whoever runs this app has proven it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import request, url_for

from mergepoint.identity import Identity, of
from tracker.models import NAME_CHARS_MAX

EDIT = "tickets.edit"


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who writes: the name to log in with, and the one to show."""

    user: str
    name: str


def author() -> Author:
    """Return who sends this request; only for views that are closed to nobody."""
    who = of(request)
    return Author(who.user, who.name[:NAME_CHARS_MAX])


def context(menu: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every template knows of whoever asks."""
    who = of(request)
    # A form that was sent cannot be asked for again, so a login after it leads to the list.
    here = request.full_path.rstrip("?") if request.method == "GET" else ""
    here = request.script_root + here if here else url_for("pages.tickets")
    return {"visitor": visitor(menu, who, here), "may_edit": who.may(EDIT)}


def visitor(menu: Mapping[str, Any], who: Identity, here: str) -> dict[str, Any]:
    """Return the account part of the frame, without what is closed to them; pure."""

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
