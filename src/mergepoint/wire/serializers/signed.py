"""Signed values: whoever reads knows that a holder of a key wrote them, and when.

Place:  wire.serializers.named -> [wire.serializers.signed] -> keys, another serializer
Rule:   nothing inside is looked at before the signature is right.

The bytes are a signature in base64, a line with a JSON head (`alg`, `kid`, `at`, `type`), and what
the inner serializer wrote. The signature covers everything after it. It says nothing of the topic:
who may write to the engine may send a signed value on to another topic while it is fresh.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from mergepoint.core.clock import Clock
from mergepoint.wire.serializers.contract import Refused, Serializer
from mergepoint.wire.serializers.keys import SigningKeys

AGE_S_MAX = 14 * 86400.0
"""Older signatures are refused: as long as messages are kept."""
AHEAD_S_MAX = 300.0
"""How far another machine's clock may be ahead."""
HEAD_BYTES_MAX = 1024
_DOMAIN = b"mergepoint signed message 1\n"


class SignedSerializer:
    """Another serializer's bytes, signed; refuses what is unsigned, old or forged."""

    content_type = "application/vnd.mergepoint.signed"

    def __init__(
        self, inner: Serializer, keys: SigningKeys, clock: Clock, *, age_s_max: float = AGE_S_MAX
    ) -> None:
        self._inner = inner
        self._keys = keys
        self._clock = clock
        self._age_s_max = age_s_max

    def encode(self, value: Any) -> bytes:
        """Return the signed bytes."""
        head = {
            "alg": self._keys.algorithm,
            "kid": self._keys.key_id,
            "at": round(self._clock.unix_s(), 3),
            "type": self._inner.content_type,
        }
        body = json.dumps(head, separators=(",", ":")).encode() + b"\n" + self._inner.encode(value)
        return base64.b64encode(self._keys.sign(_DOMAIN + body)) + b"\n" + body

    def decode(self, data: bytes) -> Any:
        """Return the value; raise `Refused` saying whether it is unsigned, forged or old."""
        signature, body = _parted(data, "it is not signed")
        head_bytes, inner = _parted(body, "its head has no end")
        head = _head(head_bytes)
        if head["alg"] != self._keys.algorithm:
            raise Refused(f"signed by {head['alg']!r}; this reads {self._keys.algorithm}")
        if not self._keys.verify(head["kid"], _DOMAIN + body, _from_base64(signature)):
            raise Refused(f"the signature of key {head['kid']!r} is wrong, or the key is unknown")
        age_s = self._clock.unix_s() - head["at"]
        if age_s > self._age_s_max:
            raise Refused(f"signed {age_s:.0f} s ago; {self._age_s_max:.0f} s are the most")
        if age_s < -AHEAD_S_MAX:
            raise Refused(f"signed {-age_s:.0f} s in the future; compare the machines' clocks")
        if head["type"] != self._inner.content_type:
            raise Refused(f"{head['type']!r} is signed; this reads {self._inner.content_type}")
        return self._inner.decode(inner)


def _parted(data: bytes, what: str) -> tuple[bytes, bytes]:
    head, found, rest = data.partition(b"\n")
    if not found or len(head) > HEAD_BYTES_MAX:
        raise Refused(what)
    return head, rest


def _from_base64(text: bytes) -> bytes:
    try:
        signature = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refused("it is not signed: no base64 at the beginning") from None
    if base64.b64encode(signature) != text:
        raise Refused("it is not signed: base64 with bits that mean nothing")
    return signature


def _head(head_bytes: bytes) -> dict[str, Any]:
    """Return the head; it is not believed yet, only understood."""
    try:
        head = json.loads(head_bytes)
    except (ValueError, RecursionError):
        raise Refused("it is not signed: no head") from None
    kinds = {"alg": str, "kid": str, "at": int | float, "type": str}
    if not isinstance(head, dict) or not all(
        isinstance(head.get(name), kind) for name, kind in kinds.items()
    ):
        raise Refused(f"the head of a signed value has {', '.join(kinds)}")
    return head
