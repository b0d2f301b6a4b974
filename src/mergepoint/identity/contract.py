"""The names under which an identity travels, and the claims the edge signs.

Place:  the edge's header -> [identity.contract] -> identity.subject, identity.verify
Rule:   section 5 of docs/reference/contracts.md, nothing else; standard library, Python 3.8 syntax.
"""

from __future__ import annotations

import base64
import json
from typing import Any

HEADER = "Mergepoint-Identity"
ENVIRON_KEY = "mergepoint.identity"
SCOPE_KEYS = ("mergepoint", "identity")
JWKS_PATH = "/.well-known/mergepoint/jwks.json"
TOKEN_TYPE = "mpi+jwt"  # noqa: S105 - the `typ` of a JWT, no secret
ALGORITHM = "EdDSA"
TOKEN_BYTES_MAX = 16384
"""Longer than any header the edge sends; a longer text is not one of its tokens."""

TEXTS = ("sub", "user", "name", "email", "kind", "lang", "session")
LISTS = ("roles", "groups", "permissions", "amr")


class IdentityUnreadable(ValueError):
    """What stands where an identity belongs is none; the text says what is wrong with it."""


def claims(token: str) -> dict[str, Any]:
    """Return the payload of a compact JWT without verifying it; raise `IdentityUnreadable`.

    Right for what came over the worker's own socket, which only the edge can reach; anybody else
    uses `mergepoint.identity.verify`.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > TOKEN_BYTES_MAX:
        raise IdentityUnreadable(f"{HEADER} is no token: {len(parts)} parts, {len(token)} bytes")
    payload = parts[1]
    try:
        value = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        raise IdentityUnreadable(f"the payload of {HEADER} is no JSON") from None
    if not isinstance(value, dict):
        raise IdentityUnreadable(f"the payload of {HEADER} is no JSON object")
    return value


def fields(told: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Identity` from checked or trusted claims; pure.

    Claims that are not named in the contract are ignored. Raises `IdentityUnreadable` when one has
    a wrong type, or when nobody is named: a token without `sub` and `user` proves nobody.
    """
    found: dict[str, Any] = {name: _text(told, name) for name in TEXTS}
    found.update((name, _names(told, name)) for name in LISTS)
    if not found["sub"] or not found["user"]:
        raise IdentityUnreadable(f"{HEADER} names no sub or no user")
    auth_time = told.get("auth_time") or 0
    if isinstance(auth_time, bool) or not isinstance(auth_time, (int, float)):
        raise IdentityUnreadable(f"auth_time is {auth_time!r}, not a number of seconds")
    found["auth_time"] = float(auth_time)
    return found


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise IdentityUnreadable(f"{name} is {value!r}, not a text")
    return value


def _names(told: dict[str, Any], name: str) -> tuple[str, ...]:
    value = told.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise IdentityUnreadable(f"{name} is {value!r}, not a list of texts")
    return tuple(value)
