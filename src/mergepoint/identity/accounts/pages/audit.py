"""The audit log, for administrators: newest first, by event and by person, page by page.

Place:  pages.wiring -> [pages.audit] -> service.audit
Rule:   it reads; nothing here can change what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request, url_for

from mergepoint.identity.accounts.events import Event
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.people import admin
from mergepoint.identity.accounts.pages.routes import Route
from mergepoint.identity.accounts.service.audit import Entry

PAGE_ROWS = 50
DETAIL_CHARS_MAX = 300
IDS = frozenset({"sid"})
"""Ids that say nothing to people and are shown nowhere else."""
BAD = frozenset(
    {
        Event.LOGIN_REFUSED,
        Event.LOGIN_THROTTLED,
        Event.FACTOR_REFUSED,
        Event.TOKEN_REFUSED,
        Event.PASSKEY_CLONED,
        Event.LINK_REFUSED,
        Event.PERSON_DISABLED,
    }
)


class AuditPages:
    """What happened with accounts."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        return [admin("/admin/audit", "audit", self.audit)]

    def audit(self) -> Response:
        """Show a page of the log."""
        asked = {name: request.args.get(name, "").strip()[:64] for name in ("user", "event")}
        before = request.args.get("before", type=int)
        found = self._door.service.audit.read(
            before=before, event=asked["event"], about=asked["user"], limit=PAGE_ROWS + 1
        )
        rows = found[:PAGE_ROWS]
        last = rows[-1].id if len(found) > PAGE_ROWS else None
        return self._door.page(
            "audit.html",
            rows=[_shown(entry) for entry in rows],
            asked=asked,
            events=sorted(Event),
            older=_address(asked, last) if last is not None else "",
            newer=_address(asked, None) if before is not None else "",
        )


def _address(asked: Mapping[str, str], before: int | None) -> str:
    return url_for("accounts.audit", user=asked["user"], event=asked["event"], before=before)


def _shown(entry: Entry) -> dict[str, Any]:
    same = entry.actor == entry.target
    return {
        "at": entry.at,
        "event": entry.event,
        "bad": entry.event in BAD,
        "who": entry.actor_user or entry.target_user,
        "about": entry.target_user if entry.actor_user and not same else "",
        "detail": _in_words(entry.detail),
        "address": entry.address,
    }


def _in_words(detail: Mapping[str, Any]) -> str:
    """Return the detail of an entry in one line: names and values, lists with commas."""
    parts = []
    for name, value in detail.items():
        if name in IDS:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if text and value is not None:
            parts.append(f"{name}: {text}")
    return "; ".join(parts)[:DETAIL_CHARS_MAX]
