"""Keys that sign messages, by their ids: HMAC-SHA256 (RFC 2104) or Ed25519 (RFC 8032).

Place:  wire.serializers.signed -> [wire.serializers.keys] -> hmac, cryptography
Rule:   comparisons take the same time for every signature; keys never reach a message or a repr.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mergepoint.wire.serializers.contract import Refused

HMAC_KEY_BYTES_MIN = 32


class SigningKeys(Protocol):
    """What signs and what is believed."""

    @property
    def algorithm(self) -> str:
        """`hs256` or `ed25519`."""
        ...

    @property
    def key_id(self) -> str:
        """The id of the key that signs now."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return a signature by the key of `key_id`."""
        ...

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Tell whether it is that key's signature; False for unknown keys."""
        ...


@dataclass(frozen=True)
class HmacKeys:
    """One secret for all who sign and all who read; older ids are still believed."""

    key_id: str
    secrets: Mapping[str, bytes] = field(repr=False)
    algorithm: str = "hs256"

    def __post_init__(self) -> None:
        if self.key_id not in self.secrets:
            raise Refused(f"the signing key {self.key_id!r} is not among the keys")
        for key_id, secret in self.secrets.items():
            if len(secret) < HMAC_KEY_BYTES_MIN:
                raise Refused(
                    f"key {key_id!r} has {len(secret)} bytes; {HMAC_KEY_BYTES_MIN} are the least"
                )

    def sign(self, data: bytes) -> bytes:
        """Return the HMAC."""
        return hmac.digest(self.secrets[self.key_id], data, "sha256")

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Compare in constant time."""
        secret = self.secrets.get(key_id)
        return secret is not None and hmac.compare_digest(
            hmac.digest(secret, data, "sha256"), signature
        )


class Ed25519Keys:
    """A private key for who signs, public ones for who reads: readers cannot forge.

    `private` and the values of `public` are the 32 raw bytes; without `private` it only reads.
    """

    algorithm = "ed25519"

    def __init__(self, key_id: str, private: bytes | None, public: Mapping[str, bytes]) -> None:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ImportError:
            raise Refused(
                "signing by Ed25519 needs cryptography: pip install cryptography, or use HMAC"
            ) from None
        self.key_id = key_id
        self._wrong = InvalidSignature
        try:
            self._private = private and ed25519.Ed25519PrivateKey.from_private_bytes(private)
            self._public: dict[str, Any] = {
                name: ed25519.Ed25519PublicKey.from_public_bytes(raw)
                for name, raw in public.items()
            }
        except ValueError as error:
            raise Refused(f"an Ed25519 key has 32 bytes: {error}") from None

    def sign(self, data: bytes) -> bytes:
        """Return the signature; raise `Refused` where there is no private key."""
        if not self._private:
            raise Refused("this process has no private key: it may read, not sign")
        return self._private.sign(data)

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Tell whether that key's owner signed this."""
        if key_id not in self._public:
            return False
        try:
            self._public[key_id].verify(signature, data)
        except self._wrong:
            return False
        return True
