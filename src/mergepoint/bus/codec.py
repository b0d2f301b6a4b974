"""Values to messages and back, by the site's serializer.

Place:  bus.calls -> [bus.codec] -> wire.serializers
Rule:   writes one content type; reads by what a message says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergepoint.bus.errors import BusRefused, Undecodable
from mergepoint.core.clock import Clock
from mergepoint.wire.serializers import Refused, Serializer, reader_of, serializer_named

READERS_MAX = 32
"""How many content types are remembered; whoever sends chooses their names."""


class Codec:
    """One site's serializer, and readers of all the others.

    A site that signs reads signed messages alone: else a forger would simply not sign.
    """

    def __init__(self, name: str, options: Mapping[str, Any], clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._readers: dict[str, Serializer] = {}
        try:
            self._writer = serializer_named(name, options, clock)
        except Refused as refused:
            raise BusRefused(str(refused), next="[bus] serializer in mergepoint.toml") from None
        self._only = name == "signed"

    def encode(self, value: Any) -> tuple[bytes, str]:
        """Return the bytes and their content type; raise `Undecodable` with what cannot be."""
        try:
            return self._writer.encode(value), self._writer.content_type
        except Refused as refused:
            raise Undecodable(f"this value cannot be sent: {refused}") from None

    def decode(self, data: bytes, content_type: str) -> Any:
        """Return the value of any content type this site reads; raise `Undecodable`."""
        try:
            return self._reader(content_type).decode(data)
        except Refused as refused:
            raise Undecodable(f"{content_type or 'no content type'}: {refused}") from None

    def _reader(self, content_type: str) -> Serializer:
        if content_type == self._writer.content_type:
            return self._writer
        if self._only:
            raise Refused("this site reads signed messages alone, and this one is not signed")
        if content_type not in self._readers:
            if len(self._readers) >= READERS_MAX:
                self._readers.clear()
            self._readers[content_type] = reader_of(content_type, self._options, self._clock)
        return self._readers[content_type]
