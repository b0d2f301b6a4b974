"""What a session token and a checked API token say, and how scopes narrow it.

Place:  sessions, tokens -> [service.claims] -> rings.sign, edge_calls
Rule:   pure; docs/reference/contracts.md section 5 names every claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.permissions import grants

SESSION_TYP = "mps+jwt"
ROLE_SCOPE, GROUP_SCOPE = "role:", "group:"


def session_claims(
    settings: AccountsSettings,
    person: Person,
    *,
    sid: str,
    issued_at: float,
    ends_at: float = inf,
    auth_at: float,
    amr: Sequence[str],
) -> dict[str, Any]:
    """Return the claims of a session token issued at `issued_at`; it never outlives the session."""
    return {
        **_who(settings, person),
        "sid": sid,
        "iat": issued_at,
        "exp": min(issued_at + settings.token_life_s, ends_at),
        "auth_time": auth_at,
        "amr": list(amr),
        "roles": list(person.roles),
        "groups": list(person.groups),
    }


def token_claims(
    settings: AccountsSettings,
    person: Person,
    *,
    token: str,
    issued_at: float,
    expires_at: float,
    scopes: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the claims an API token stands for; `scopes` None is everything its owner may do."""
    claims = {
        **_who(settings, person),
        "token": token,
        "iat": issued_at,
        "exp": expires_at,
        "auth_time": issued_at,
        "amr": ["token"],
        "roles": list(person.roles),
        "groups": list(person.groups),
    }
    if scopes is not None:
        claims["roles"] = [r for r in person.roles if ROLE_SCOPE + r in scopes]
        claims["groups"] = [g for g in person.groups if GROUP_SCOPE + g in scopes]
        claims["permissions"] = narrowed(permissions_of(settings.roles, person.roles), scopes)
    return claims


def permissions_of(table: Mapping[str, Iterable[str]], roles: Iterable[str]) -> set[str]:
    """Return every permission these roles give; a role the site no longer has gives none."""
    return {permission for role in roles for permission in table.get(role, ())}


def narrowed(held: Iterable[str], scopes: Iterable[str]) -> list[str]:
    """Return what both have: scopes the owner's permissions cover, permissions a scope covers."""
    owned = set(held)
    named = {s for s in scopes if not s.startswith((ROLE_SCOPE, GROUP_SCOPE))}
    return sorted({s for s in named if grants(owned, s)} | {p for p in owned if grants(named, p)})


def _who(settings: AccountsSettings, person: Person) -> dict[str, Any]:
    return {
        "iss": settings.issuer,
        "aud": settings.site,
        "sub": person.sub,
        "kind": person.kind,
        "user": person.user,
        "name": person.name,
        "email": person.email,
        "lang": person.lang or settings.lang,
    }
