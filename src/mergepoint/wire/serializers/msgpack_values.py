"""MessagePack for values: smaller and faster than JSON where bodies are bytes.

Place:  wire.serializers.named -> [wire.serializers.msgpack_values] -> msgspec, plain
Rule:   msgspec is imported when the serializer is made, not before.
"""

from __future__ import annotations

from typing import Any

from mergepoint.wire.serializers.contract import Refused
from mergepoint.wire.serializers.plain import to_plain, walked

NUMBER_MIN, NUMBER_MAX = -(2**63), 2**64 - 1


class MsgpackSerializer:
    """The same forms as JSON, except that bytes are bytes."""

    content_type = "application/msgpack"

    def __init__(self) -> None:
        try:
            from msgspec import DecodeError, msgpack
        except ImportError:
            raise Refused(
                "the serializer msgpack needs msgspec: pip install msgspec, or choose json"
            ) from None
        self._packing = msgpack
        self._failures = (DecodeError, ValueError, RecursionError)

    def encode(self, value: Any) -> bytes:
        """Return MessagePack; raise `Refused` for numbers of more than 64 bits."""
        plain = to_plain(value, keeps_bytes=True)
        try:
            return self._packing.encode(plain)
        except OverflowError:
            raise Refused(
                f"a number outside {NUMBER_MIN} to {NUMBER_MAX}, which MessagePack does not know"
            ) from None

    def decode(self, data: bytes) -> Any:
        """Return the value; raise `Refused`. No bytes are None."""
        if not data:
            return None
        try:
            return walked(self._packing.decode(data))
        except Refused:
            raise
        except self._failures as error:
            raise Refused(f"no MessagePack: {error}") from None
