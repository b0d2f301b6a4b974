"""The key rings as the accounts app uses them: read again when their file has changed.

Place:  <keys_dir>/*.json -> [service.rings] -> signing, devices, factors, feed
Rule:   a rotated ring is in use without a restart; a damaged one leaves the last good one in force.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from mergepoint.core.clock import Clock
from mergepoint.identity.keys import (
    ACCOUNTS,
    SESSION,
    Key,
    KeyRing,
    KeysRefused,
    ensure_ring,
    read_ring,
    ring_path,
)

ALGORITHM = "EdDSA"
NONCE_BYTES = 12

log = logging.getLogger("mergepoint.accounts")


class Rings:
    """Session and accounts ring; both are made at the first use when they are missing."""

    def __init__(self, keys_dir: Path, clock: Clock) -> None:
        self._keys_dir = keys_dir
        self._clock = clock
        self._known: dict[str, tuple[tuple[int, int, int], KeyRing]] = {}
        self._signers: dict[str, OKPKey] = {}

    def session(self) -> KeyRing:
        """Return the ring that signs session tokens."""
        return self._ring(SESSION)

    def accounts(self) -> KeyRing:
        """Return the ring that signs device cookies and seals second factors."""
        return self._ring(ACCOUNTS)

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """Return a JWT (RFC 7519) signed with Ed25519 by the session ring's key of now."""
        key = self.session().signing(self._clock.unix_s())
        header = {"alg": ALGORITHM, "typ": typ, "kid": key.kid}
        return jwt.encode(header, claims, self._signer(key), registry=_SIGNING)

    def mac(self, purpose: str, text: str, kid: str | None = None) -> tuple[str, str]:
        """Return kid and HMAC-SHA256 of `text`; with `kid` unknown or ended, an empty HMAC."""
        ring, now_s = self.accounts(), self._clock.unix_s()
        key = ring.signing(now_s) if kid is None else ring.find(kid)
        if key is None or (key.not_after is not None and key.not_after <= now_s):
            return kid or "", ""
        made = hmac.new(_derived(key, purpose), text.encode(), hashlib.sha256).digest()
        return key.kid, base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def seal(self, purpose: str, owner: str, content: str) -> str:
        """Return `content` under AES-GCM with the newest key, bound to its owner.

        Who opens it reads the ring at that moment, so that a new key need not become of age.
        """
        key = self.accounts().keys[0]
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(_derived(key, purpose)).encrypt(nonce, content.encode(), owner.encode())
        return f"{key.kid}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, purpose: str, owner: str, sealed: str) -> str | None:
        """Return what was sealed for `owner`; None when its key is gone or it was tampered with."""
        kid, _, text = sealed.partition(".")
        key = self.accounts().find(kid)
        if key is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(text)
            nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            opened = AESGCM(_derived(key, purpose)).decrypt(nonce, rest, owner.encode())
        except (ValueError, InvalidTag):
            return None
        return opened.decode()

    def _ring(self, name: str) -> KeyRing:
        path = ring_path(self._keys_dir, name)
        known = self._known.get(name)
        try:
            found = os.stat(path)  # noqa: PTH116 - asked at every use; half the cost
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if known is not None and known[0] == stamp:
                return known[1]
            ring = read_ring(path)
        except FileNotFoundError:
            if known is not None:
                return known[1]
            ring, stamp = ensure_ring(self._keys_dir, name, self._clock.unix_s()), (0, 0, 0)
        except KeysRefused as error:
            if known is None:
                raise
            log.warning("%s", error.message)
            return known[1]
        self._known[name] = (stamp, ring)
        return ring

    def _signer(self, key: Key) -> OKPKey:
        signer = self._signers.get(key.kid)
        if signer is None:
            seed = base64.urlsafe_b64encode(key.seed).rstrip(b"=").decode()
            signer = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": key.x, "d": seed})
            self._signers[key.kid] = signer
        return signer


class _OnlyEdDSA(JWSRegistry):
    """The one algorithm of the contract, by the name that verifiers in every language know.

    RFC 9864 names it Ed25519; most libraries do not, and joserfc warns at every signature.
    """

    def get_alg(self, name: str) -> Any:  # joserfc gives the class no public name
        """Return EdDSA; nothing else is ever asked for."""
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(f"{name!r} is not {ALGORITHM}")
        return self.algorithms[name]


_SIGNING = _OnlyEdDSA()


def _derived(key: Key, purpose: str) -> bytes:
    """Return a key of its own for each purpose (HMAC as HKDF's expansion, RFC 5869)."""
    return hmac.new(key.seed, f"mergepoint {purpose}\x01".encode(), hashlib.sha256).digest()
