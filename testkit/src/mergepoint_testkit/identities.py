"""Identities as the edge would tell them to an app: claims, signed tokens, a published key set.

Place:  tests/identity -> [identities] -> joserfc
Rule:   shaped by section 5 of docs/reference/contracts.md; the keys are worth nothing elsewhere.
"""

from __future__ import annotations

import warnings
from typing import Any

from joserfc import jwt
from joserfc.jwk import OKPKey

from mergepoint.core.clock import SystemClock

LIFE_S = 60
KEY = OKPKey.generate_key("Ed25519", {"kid": "e1", "use": "sig", "alg": "EdDSA"})


def claims(user: str = "ada", app: str = "app", **more: Any) -> dict[str, Any]:
    """Return the claims of somebody who logged in a minute ago, changed by `more`."""
    now_s = int(SystemClock().unix_s())
    return {
        "iss": "mergepoint:site", "aud": app, "iat": now_s, "exp": now_s + LIFE_S,
        "sub": f"sub-of-{user}", "user": user, "name": f"{user.title()} Ünique",
        "email": f"{user}@example.org", "kind": "person", "lang": "de", "amr": ["pwd"],
        "auth_time": now_s - 60, "session": "s" * 22, "roles": [], "groups": [],
        "permissions": [], **more,
    }  # fmt: skip


def signed(told: dict[str, Any], key: OKPKey = KEY, **header: Any) -> str:
    """Return a token of the edge over these claims."""
    head = {"alg": "EdDSA", "typ": "mpi+jwt", "kid": str(key.kid), **header}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="EdDSA is deprecated")
        return str(jwt.encode(head, told, key, algorithms=["EdDSA"]))


def headers(user: str = "ada", **more: Any) -> dict[str, str]:
    """Return the headers the edge adds for somebody who is proven."""
    told = claims(user, **more)
    return {
        "Remote-User": user,
        "Remote-Name": told["name"].encode().decode("latin-1"),
        "Remote-Email": told["email"],
        "Remote-Groups": ",".join([*told["roles"], *told["groups"]]),
        "Mergepoint-Identity": signed(told),
    }


def published(*keys: OKPKey) -> dict[str, Any]:
    """Return the key set at /.well-known/mergepoint/jwks.json."""
    return {"keys": [key.as_dict(private=False) for key in keys or (KEY,)]}
