"""Say whether somebody may send a request, which guard decided, and what the app would be told.

Place:  identity.guards -> [edge.access] -> edge.routes, cli
Rule:   pure; decides with the guards the edge is sent, and adds only where they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mergepoint.edge.identity import access_doc
from mergepoint.identity.guards import Verdict, held_permissions, judge, readings
from mergepoint.identity.told import remote_headers
from mergepoint.manifest.access import Access
from mergepoint.manifest.origin import Origin
from mergepoint.manifest.site import App, Site

Claims = Mapping[str, Any]
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
NEXT_BYTES_MAX = 2048
"""Longest way back that the edge gives to a login; a longer one is left out."""
SIGNED = "<who asks, signed by the edge for this app>"


@dataclass(frozen=True, slots=True)
class Judged:
    """The decision about one request of one visitor."""

    user: str
    """Empty when nobody is proven."""
    verdict: str
    """``allowed``, ``needs_proof`` or ``forbidden``."""
    asked: tuple[str, ...]
    """Any one of these terms is enough."""
    by: str
    """What decided: ``guard /admin``, ``guard /admin POST`` or ``require``."""
    origin: Origin
    path: str
    """The path below the mount as it was read for the guards."""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    answer: str = ""
    """What the edge answers itself; empty when the app is asked."""
    origin_proof: str = ""
    """What an unsafe request of a logged-in browser must bring; empty for safe ones."""
    headers: Mapping[str, str] | None = None
    """What the app is told of the visitor; None when it is not asked."""


def judge_request(
    site: Site, app: App, below: str, method: str, claims: Claims | None, target: str
) -> Judged | None:
    """Return the decision; None in a site without identity.

    `below` is the path below the mount, still encoded; `target` is path and query, which a login
    would lead back to.
    """
    access, identity = app.access, site.identity
    if access is None or identity is None:
        return None
    roles = {name: role.granted for name, role in site.roles.items()}
    found = judge(access_doc(access), roles, claims, method, below or "/")
    guard = None if found.guard is None else access.guards[found.guard]
    allowed = found.verdict is Verdict.ALLOWED
    user = str(claims["user"]) if claims else ""
    return Judged(
        user=user,
        verdict=found.verdict.value,
        asked=found.terms,
        by="require" if guard is None else " ".join(("guard", guard.path, *guard.methods)),
        origin=access.origin if guard is None else guard.origin,
        path=found.path,
        roles=tuple(claims.get("roles", ())) if claims else (),
        groups=tuple(claims.get("groups", ())) if claims else (),
        permissions=tuple(sorted(held_permissions(roles, claims))) if claims else (),
        answer=_answer(found.verdict, identity.mount, target),
        origin_proof=_origin_proof(app, access, below or "/", method, proven=claims is not None),
        headers=_headers(claims, access) if allowed else None,
    )


def _answer(verdict: Verdict, mount: str, target: str) -> str:
    if verdict is Verdict.NEEDS_PROOF:
        encoded = quote(f"/{target.lstrip('/')}")
        back = f"?next={encoded}" if len(encoded) <= NEXT_BYTES_MAX else ""
        login = f"303 to {mount}/login{back}"
        return f"{login} for a browser; 401 identity.required for anything else"
    return "403 identity.forbidden" if verdict is Verdict.FORBIDDEN else ""


def _origin_proof(app: App, access: Access, below: str, method: str, *, proven: bool) -> str:
    if method in SAFE or not (proven or app.builtin):
        return ""
    everywhere = not app.builtin and all(
        any(_lies_below(reading, exempt) for exempt in access.csrf_exempt)
        for reading in readings(below)
    )
    if everywhere:
        return "none: csrf_exempt"
    return "Sec-Fetch-Site same-origin or none, else Origin of this host; or 403 csrf.origin"


def _lies_below(reading: bytes, exempt: str) -> bool:
    place = exempt.encode()
    return exempt == "/" or reading == place or reading.startswith(place + b"/")


def _headers(claims: Claims | None, access: Access) -> dict[str, str]:
    if claims is None:
        return {}
    own = {_written(name): carries for name, carries in access.headers.items()}
    return {**remote_headers(claims, own), "Mergepoint-Identity": SIGNED}


def _written(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
