"""Frames of the hub's protocol: lengths, a head in JSON, and bytes that nobody looks into.

Place:  bus.adapters.hub <-> [wire.frames] <-> bus.hub
Rule:   no I/O; a length is checked before anything is kept, so garbage costs four bytes.

A frame is 4 bytes length of what follows, 4 bytes length of the head (both big endian), the head,
and the rest. `docs/reference/bus.md` says what stands in heads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

FRAME_BYTES_MAX = 20 * 1024 * 1024
"""The longest frame, its first four bytes not counted."""
HEAD_BYTES_MAX = 4 * 1024 * 1024
"""The longest head."""

# One encoder for all: `json.dumps` makes one for every call that asks for short separators.
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_LENGTHS = Struct(">II")
_PREFIX_BYTES = _LENGTHS.size


def _plain(value: Any) -> bytes:  # Any: whatever JSON holds
    # Half a surrogate pair (a file name that is no text, in an error) is in no UTF-8: a mark
    # stands for it, since a head that its reader refuses would end the connection.
    return _to_json(value).encode("utf-8", "replace")


dumps: Callable[[Any], bytes] = _plain
"""Returns compact JSON of a value; `msgspec` writes it where that is installed."""
loads: Callable[[bytes], Any] = json.loads
"""Returns the value of some JSON; raises `ValueError` or `RecursionError`."""

try:
    import msgspec
except ImportError:
    pass
else:
    _fast = msgspec.json.Encoder().encode
    loads = msgspec.json.Decoder().decode

    def _quick(value: Any) -> bytes:  # Any: whatever JSON holds
        try:
            return _fast(value)
        except UnicodeEncodeError:
            return _plain(value)

    dumps = _quick


class FrameInvalid(ValueError):
    """These bytes are no frame of ours; the connection they came from is of no more use."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its head, decoded, and the bytes after it."""

    head: dict[str, Any]
    """Any: whatever JSON holds; whoever reads a field checks it."""
    rest: bytes


def encode(head: bytes, parts: Iterable[bytes] = ()) -> bytes:
    """Return one frame of an encoded head and its parts, in their order."""
    rest = b"".join(parts)
    return _LENGTHS.pack(4 + len(head) + len(rest), len(head)) + head + rest


def encode_json(head: Any, parts: Iterable[bytes] = ()) -> bytes:  # Any: whatever JSON holds
    """Return one frame, with the head as compact JSON."""
    return encode(dumps(head), parts)


def cut(rest: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Return the parts of a frame's rest; raise `FrameInvalid` if lengths and bytes disagree."""
    parts = []
    at = 0
    for length in lengths:
        # bool is an int to Python and none to JSON.
        if type(length) is not int or length < 0:
            raise FrameInvalid(f"a length is {length!r}; it is a number from 0")
        parts.append(rest[at : at + length])
        at += length
    if at != len(rest):
        raise FrameInvalid(f"lengths add up to {at} bytes; {len(rest)} bytes are there")
    return parts


class FrameReader:
    """Bytes as they come in, frames as they are complete.

    Raises `FrameInvalid` for a length over the limit or a head that is no JSON object, and
    from then on at every call. What is kept never exceeds one frame and what came behind it.
    """

    def __init__(
        self,
        *,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        head_bytes_max: int = HEAD_BYTES_MAX,
        decode: Callable[[bytes], Any] = loads,
    ) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._head_bytes_max = head_bytes_max
        self._decode = decode
        self._kept = bytearray()
        self._wanted = _PREFIX_BYTES
        self._broken = ""

    def feed(self, data: bytes) -> list[Frame]:
        """Take these bytes; return the frames that are complete by now."""
        if self._broken:
            raise FrameInvalid(self._broken)
        if self._kept:
            self._kept += data
            # A frame of 16 MiB comes in hundreds of pieces; until it is whole they are only added.
            if len(self._kept) < self._wanted:
                return []
            data = bytes(self._kept)
            self._kept.clear()
        try:
            return self._split(data)
        except FrameInvalid as error:
            self._broken = str(error)
            self._kept.clear()
            raise

    @property
    def kept_bytes(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._kept)

    def _split(self, data: bytes) -> list[Frame]:
        size = len(data)
        frames = []
        at = 0
        self._wanted = _PREFIX_BYTES
        while size - at >= _PREFIX_BYTES:
            length, head_length = _LENGTHS.unpack_from(data, at)
            self._check(length, head_length)
            end = at + 4 + length
            if end > size:
                self._wanted = end - at
                break
            head_end = at + _PREFIX_BYTES + head_length
            frames.append(
                Frame(self._head(data[at + _PREFIX_BYTES : head_end]), data[head_end:end])
            )
            at = end
        if at < size:
            self._kept += data[at:]
        return frames

    def _check(self, length: int, head_length: int) -> None:
        if length > self._frame_bytes_max:
            raise FrameInvalid(f"a frame of {length} bytes; at most {self._frame_bytes_max}")
        if head_length > self._head_bytes_max:
            raise FrameInvalid(f"a head of {head_length} bytes; at most {self._head_bytes_max}")
        if head_length + 4 > length:
            raise FrameInvalid(f"a head of {head_length} bytes in a frame of {length}")

    def _head(self, head: bytes) -> dict[str, Any]:
        try:
            decoded = self._decode(head)
        except (ValueError, RecursionError) as error:
            raise FrameInvalid(f"a head that is no JSON: {error}") from None
        if not isinstance(decoded, dict):
            raise FrameInvalid("a head that is no JSON object")
        return decoded
