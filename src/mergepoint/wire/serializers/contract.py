"""What a serializer is.

Place:  bus.codec -> [wire.serializers.contract] <- json, msgpack, signed, entry points
Rule:   a leaf; both directions refuse with a sentence that names the place in the value.
"""

from __future__ import annotations

from typing import Any, Protocol


class Refused(ValueError):
    """A value that cannot be written, or bytes that cannot be read; the message says where."""


class Serializer(Protocol):
    """Values to bytes and back."""

    @property
    def content_type(self) -> str:
        """What `datacontenttype` says of these bytes; readers are chosen by it."""
        ...

    def encode(self, value: Any) -> bytes:
        """Return the bytes; raise `Refused`."""
        ...

    def decode(self, data: bytes) -> Any:
        """Return the value; raise `Refused`."""
        ...
