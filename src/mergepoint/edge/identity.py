"""What the edge is told of identity: who signs, which roles grant what, who may use which app.

Place:  edge.compile -> [edge.identity] -> the snapshot; docs/reference/contracts.md section 5
Rule:   pure; the keys are handed in, and no repr shows a seed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from mergepoint.edge.snapshot import AccessDoc, IdentityDoc
from mergepoint.manifest.access import ACCOUNTS, Access
from mergepoint.manifest.site import Site

REFRESH_BEFORE_S_MAX = 600.0
STALE_S = 900.0
SKEW_S = 30.0
POLL_S = 0.5
CALL_S = 2.0
SESSIONS_MAX = 65536
CREDENTIALS_MAX = 16384
CREDENTIAL_S = 60.0
REVOCATIONS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class EdgeKeys:
    """The key the edge signs with, and the public parts of others that still count."""

    kid: str
    seed: bytes = field(repr=False)
    published: tuple[tuple[str, str], ...] = ()
    """Pairs of kid and ``x`` as a JWK has it."""


def issuer_of(site_name: str) -> str:
    """Return who issues the site's session tokens: ``mergepoint:acme``."""
    return f"mergepoint:{site_name}"


def identity_doc(site: Site, keys: EdgeKeys | None) -> IdentityDoc | None:
    """Return `identity` of the snapshot; None for a site without, an error for one without keys."""
    identity = site.identity
    if identity is None:
        return None
    if keys is None:
        raise ValueError("a site with identity needs the edge's keys")
    return {
        "app": ACCOUNTS,
        "mount": identity.mount,
        "issuer": issuer_of(site.name),
        "signing": {"kid": keys.kid, "seed": base64.b64encode(keys.seed).decode("ascii")},
        "published": [{"kid": kid, "x": x} for kid, x in keys.published],
        "refresh_before_s": min(identity.token_life_s / 2, REFRESH_BEFORE_S_MAX),
        "stale_s": STALE_S,
        "skew_s": SKEW_S,
        "poll_s": POLL_S,
        "call_s": CALL_S,
        "sessions_max": SESSIONS_MAX,
        "credentials_max": CREDENTIALS_MAX,
        "credential_s": CREDENTIAL_S,
        "revocations_max": REVOCATIONS_MAX,
        "roles": {name: list(role.granted) for name, role in sorted(site.roles.items())},
    }


def access_doc(access: Access) -> AccessDoc:
    """Return `access` of one app."""
    return {
        "require": list(access.require),
        "guards": [
            {"path": guard.path, "methods": list(guard.methods), "require": list(guard.require)}
            for guard in access.guards
        ],
        "csrf_exempt": list(access.csrf_exempt),
        "cookies": access.cookies.value,
        "headers": dict(sorted(access.headers.items())),
        "authorization": access.authorization.value,
    }
