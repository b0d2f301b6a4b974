"""Verify a `Mergepoint-Identity` by its signature, for apps that the host shim does not serve.

    verifier = Verifier("http://127.0.0.1:8000/.well-known/mergepoint/jwks.json", "tickets")
    who = verifier.identity(headers.get("Mergepoint-Identity"))

Place:  the edge's public keys -> [identity.verify] -> identity.subject
Rule:   needs joserfc, and only when a Verifier is made; whatever is not proven is refused.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
import urllib.request
import warnings
from typing import TYPE_CHECKING, Any

from .contract import ALGORITHM, HEADER, TOKEN_BYTES_MAX, TOKEN_TYPE, IdentityUnreadable
from .subject import ANONYMOUS, Identity, of_claims

if TYPE_CHECKING:
    from collections.abc import Callable

SKEW_S = 30.0
FETCH_S = 5.0
FETCH_AGAIN_S = 10.0
"""How long an unknown key id is refused before the key set is asked for once more."""
JWKS_BYTES_MAX = 65536


class VerifierUnavailable(Exception):
    """Nothing can be verified here: a library is missing, or the keys cannot be fetched."""


class TokenRefused(Exception):
    """A token proves nothing; the text says why."""


class Verifier:
    """Verifies tokens for one app of a site; safe in threads. Keys are fetched when first needed.

    `jwks` is the address of the key set, `audience` the app's name in the manifest, `issuer` the
    site's (`mergepoint:<site>`; empty accepts any that signs with these keys).
    """

    def __init__(
        self,
        jwks: str,
        audience: str,
        issuer: str = "",
        *,
        skew_s: float = SKEW_S,
        fetch_s: float = FETCH_S,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - apps have no mergepoint.core
    ) -> None:
        if not jwks.startswith(("http://", "https://")):
            raise ValueError(f"{jwks!r} is no http or https address of a key set")
        self._jwks, self._audience, self._issuer = jwks, audience, issuer
        self._skew_s, self._fetch_s, self._clock = skew_s, fetch_s, clock
        self._jose = _library()
        self._keys: Any = None
        self._fetched_s = float("-inf")
        self._fetching = threading.Lock()

    def identity(self, token: str | None) -> Identity:
        """Return who a token proves, `ANONYMOUS` without one.

        Raises `TokenRefused`, or `VerifierUnavailable` when the keys cannot be had.
        """
        if not token:
            return ANONYMOUS
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused(f"{len(token)} bytes; a token has at most {TOKEN_BYTES_MAX}")
        decoded = self._decoded(token)
        why = refusal(
            decoded.header, decoded.claims, self._audience, self._issuer, self._clock(),
            self._skew_s,
        )  # fmt: skip
        if why:
            raise TokenRefused(why)
        try:
            return of_claims(decoded.claims)
        except IdentityUnreadable as error:
            raise TokenRefused(str(error)) from None

    def _decoded(self, token: str) -> Any:
        errors = self._jose.errors
        try:
            return self._jose.jwt.decode(token, self._key_set(), algorithms=[ALGORITHM])
        except errors.InvalidKeyIdError:
            before = self._keys
            if self._key_set(again=True) is before:
                raise TokenRefused("signed with a key the site does not publish") from None
            return self._decoded(token)
        except (errors.JoseError, ValueError) as error:
            raise TokenRefused(f"not a valid {HEADER}: {error}") from None

    def _key_set(self, again: bool = False) -> Any:
        with self._fetching:
            old_enough = time.monotonic() - self._fetched_s >= FETCH_AGAIN_S
            if self._keys is None or (again and old_enough):
                self._keys = self._fetch()
                self._fetched_s = time.monotonic()
            return self._keys

    def _fetch(self) -> Any:
        try:
            with urllib.request.urlopen(self._jwks, timeout=self._fetch_s) as answer:  # noqa: S310 - the scheme was checked
                body = answer.read(JWKS_BYTES_MAX + 1)
            return self._jose.jwk.KeySet.import_key_set(key_set(body))
        except (OSError, ValueError, KeyError, self._jose.errors.JoseError) as error:
            raise VerifierUnavailable(f"no keys from {self._jwks}: {error}") from None


def key_set(body: bytes) -> dict[str, Any]:
    """Return the JSON Web Key Set (RFC 7517) of an answer; raise ValueError. Pure."""
    if len(body) > JWKS_BYTES_MAX:
        raise ValueError(f"more than {JWKS_BYTES_MAX} bytes")
    found = json.loads(body)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError("not a JSON Web Key Set")
    return {"keys": [key for key in keys if key.get("kty") == "OKP"]}


def refusal(
    header: dict[str, Any],
    claims: dict[str, Any],
    audience: str,
    issuer: str,
    now_s: float,
    skew_s: float,
) -> str:
    """Return why a token whose signature holds is refused all the same, or an empty text; pure."""
    until = claims.get("exp")
    meant = claims.get("aud")
    if header.get("typ") != TOKEN_TYPE:
        return f"typ is {header.get('typ')!r}, not {TOKEN_TYPE!r}"
    if audience not in (meant if isinstance(meant, list) else [meant]):
        return f"meant for {meant!r}, not for {audience!r}"
    if issuer and claims.get("iss") != issuer:
        return f"issued by {claims.get('iss')!r}, not by {issuer!r}"
    if isinstance(until, bool) or not isinstance(until, (int, float)):
        return "it has no exp"
    return f"expired {now_s - until:.0f} s ago" if now_s >= until + skew_s else ""


def _library() -> Any:
    try:
        jose = importlib.import_module("joserfc")
        for part in ("jwt", "jwk", "errors"):
            importlib.import_module(f"joserfc.{part}")
    except ImportError:
        raise VerifierUnavailable(
            "verifying needs the library joserfc in this environment: pip install joserfc"
        ) from None
    # The site's tokens say EdDSA, the name RFC 8037 gave Ed25519 and every library knows.
    warnings.filterwarnings("ignore", message="EdDSA is deprecated", module=r"joserfc\.")
    return jose
