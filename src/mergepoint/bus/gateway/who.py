"""Who posts: the site itself, as a service, proven to the app as the edge proves everybody.

Place:  bus.gateway.deliver -> [bus.gateway.who]
Rule:   contracts.md section 5 says how such a token looks; its name is one that nobody can take.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from mergepoint.bus.gateway.targets import Signing

USER = "mergepoint:bus"
"""A colon is not allowed in the name of an account: nobody can be mistaken for this one."""
SUBJECT = "mergepoint:bus"
LIFE_S = 60


def identity_headers(signing: Signing, issuer: str, app: str, now_s: float) -> dict[str, str]:
    """Return the headers by which an app knows that its own site posts."""
    head = {"alg": "EdDSA", "typ": "mpi+jwt", "kid": signing.kid}
    claims = {
        "iss": issuer,
        "aud": app,
        "sub": SUBJECT,
        "iat": int(now_s),
        "exp": int(now_s) + LIFE_S,
        "kind": "service",
        "user": USER,
        "name": "Message bus",
        "roles": [],
        "groups": [],
        "permissions": [],
    }
    signed = f"{_part(head)}.{_part(claims)}"
    token = f"{signed}.{_plain(_signature(signing.seed, signed.encode()))}"
    return {"mergepoint-identity": token, "remote-user": USER, "remote-name": "Message bus"}


def _signature(seed: bytes, data: bytes) -> bytes:
    # Only a site with identity gets here, and that has the library; others never import it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).sign(data)


def _part(document: Mapping[str, object]) -> str:
    return _plain(json.dumps(document, separators=(",", ":")).encode())


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
