"""Who may do what where: which guard decides, and whether a visitor meets it.

Place:  [identity.guards] -> cli (`explain --as`); the edge decides by its twin in identity/guard.rs
Rule:   pure; a path that programs may read in several ways must be allowed in every one of them.
        Both sides read tests/golden/guards.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mergepoint.identity.permissions import grants

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SEPARATOR = re.compile(rb"[/\\]")

Access = Mapping[str, Any]
"""`access` of an app as the snapshot has it."""
Roles = Mapping[str, Sequence[str]]
Claims = Mapping[str, Any]


class Verdict(Enum):
    """What a guard says to a request."""

    ALLOWED = "allowed"
    NEEDS_PROOF = "needs_proof"
    """Nobody is proven, and somebody must be."""
    FORBIDDEN = "forbidden"
    """Whoever asks may not."""


@dataclass(frozen=True)
class Decision:
    """The verdict, the terms that were asked for, and the guard that asked."""

    verdict: Verdict
    terms: tuple[str, ...]
    guard: int | None
    """Its place in `guards` of the app; None when the app's own `require` decided."""
    path: str
    """The path below the mount as it was read; bytes that are no UTF-8 are replaced."""


def judge(access: Access, roles: Roles, claims: Claims | None, method: str, path: str) -> Decision:
    """Return the decision on a request for `path`, the part below the mount, still encoded.

    `claims` is None when nobody is proven. Of several readings of a path the strictest decides.
    """
    worst: Decision | None = None
    for reading in readings(path):
        for folded in (False, True):
            guard = deciding(access, method, reading, folded=folded)
            asked = access["require"] if guard is None else access["guards"][guard]["require"]
            verdict = _one(asked, roles, claims)
            found = Decision(verdict, tuple(asked), guard, reading.decode(errors="replace"))
            if verdict is Verdict.FORBIDDEN:
                return found
            if worst is None or (worst.verdict is Verdict.ALLOWED and verdict is not worst.verdict):
                worst = found
    assert worst is not None, "every path has a reading"  # noqa: S101
    return worst


def deciding(access: Access, method: str, path: bytes, *, folded: bool = False) -> int | None:
    """Return the place of the guard that decides over a path as read; None for the app's own.

    The longest path decides, of two equal ones that which names methods, then the first.
    `folded` compares without regard to case, as some frameworks match their routes.
    """
    best: tuple[int, bool] | None = None
    found = None
    for position, guard in enumerate(access["guards"]):
        place = guard["path"].encode()
        if not _takes(guard["methods"], method) or not _is_below(path, place, folded=folded):
            continue
        rank = (len(place), bool(guard["methods"]))
        if best is None or rank > best:
            best, found = rank, position
    return found


def meets(term: str, roles: Roles, claims: Claims | None) -> bool:
    """Tell whether a visitor meets one term."""
    if term == "public":
        return True
    if claims is None or term == "nobody":
        return False
    if term in {"user", "person", "service"}:
        return term == "user" or claims["kind"] == term
    kind, _, name = term.partition(":")
    if kind == "permission":
        return grants(held_permissions(roles, claims), name)
    if kind in {"role", "group"}:
        return name in claims.get(f"{kind}s", ())
    return kind == "subject" and claims["user"] == name


def held_permissions(roles: Roles, claims: Claims) -> set[str]:
    """Return what the roles of a visitor grant, and what an API token brings besides."""
    granted = {name for role in claims.get("roles", ()) for name in roles.get(role, ())}
    return granted | set(claims.get("permissions") or ())


def _one(terms: Sequence[str], roles: Roles, claims: Claims | None) -> Verdict:
    if any(meets(term, roles, claims) for term in terms):
        return Verdict.ALLOWED
    # Where nobody is let in, to log in would lead to the same refusal.
    hopeless = all(term == "nobody" for term in terms)
    return Verdict.NEEDS_PROOF if claims is None and not hopeless else Verdict.FORBIDDEN


def _takes(methods: Sequence[str], method: str) -> bool:
    return not methods or method in methods or (method == "HEAD" and "GET" in methods)


def _is_below(path: bytes, guard: bytes, *, folded: bool) -> bool:
    """Compare on whole segments; `/` holds everything."""
    if guard == b"/":
        return True
    start, rest = path[: len(guard)], path[len(guard) :]
    same = start.lower() == guard.lower() if folded else start == guard
    return same and rest[:1] in {b"", b"/"}


def readings(path: str) -> Iterator[bytes]:
    """Yield the path decoded once, and decoded twice where that is something else.

    Each begins with a slash and does not end with one (`/` itself excepted), repeated slashes are
    one, a backslash is a slash, parameters are gone and dot segments cannot climb above the mount.
    """
    decoded = _decoded(path.encode())
    once, twice = _normal(decoded), _normal(_decoded(decoded))
    yield once
    if twice != once:
        yield twice


def _decoded(path: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), path)


def _normal(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in _SEPARATOR.split(path):
        name = segment.partition(b";")[0]
        if name == b"..":
            kept = kept[:-1]
        elif name not in {b"", b"."}:
            kept.append(name)
    return b"/" + b"/".join(kept)
