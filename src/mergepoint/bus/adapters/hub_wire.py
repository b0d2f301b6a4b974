"""One socket to the hub: frames out together, frames in, and silence noticed.

Place:  bus.adapters.hub_link -> [bus.adapters.hub_wire]
Rule:   of one connection; what it means to lose it is for hub_link to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.bus import errors
from mergepoint.bus.errors import BusError, BusLost, BusRefused, RemoteError
from mergepoint.wire.frames import Frame, FrameInvalid, FrameReader, cut, encode_json

READ_BYTES = 64 * 1024
"""What one read takes at most."""
BEAT = encode_json({"beat": 1})
MISSING_BEATS = 2
"""Heartbeats of silence after which a connection is lost."""
_ERRORS: dict[str, type[BusError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, BusError)
}


class Answer:
    """What the hub answered: a value, and messages behind it."""

    __slots__ = ("_frame", "value")

    def __init__(self, value: Any, frame: Frame) -> None:  # Any: whatever JSON holds
        self.value = value
        self._frame = frame

    def parts(self) -> list[bytes]:
        """Return the bytes behind the head, as its lengths say."""
        return cut(self._frame.rest, self._frame.head.get("n", []))


def error_of(told: Mapping[str, Any]) -> BusError:
    """Return the error a hub told, of its own kind where this side knows it."""
    message, next_ = str(told.get("message", "")), str(told.get("next", ""))
    if told.get("code") == RemoteError.code:
        return RemoteError(message, remote_code=str(told.get("remote_code", "error")), next=next_)
    kind = _ERRORS.get(str(told.get("code")), BusError)
    return kind(message, next=next_)


class Wire(asyncio.BufferedProtocol):
    """A connection; `lost` is done, with a reason, when it is no more."""

    def __init__(self, came: Callable[[Frame], None], heartbeat_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.corked = False
        """Whether whoever writes will flush."""
        self._came = came
        self._heartbeat_s = heartbeat_s
        self._reader = FrameReader()
        # One for all reads: memory made for each, as of other protocols, costs more than reading.
        self._room = memoryview(bytearray(READ_BYTES))
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._greeting: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self._heard_s = 0.0
        self._beat_s = 0.0
        self._beating: asyncio.TimerHandle | None = None

    async def greet(self, hello: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say hello; return what the hub said; raise `BusRefused` or `BusLost`."""
        self.write(encode_json(hello))
        return await self._greeting

    def write(self, frame: bytes) -> None:
        """Send a frame; several of one turn of the loop go out together."""
        if not self._out and not self.corked:
            self._loop.call_soon(self.flush)
        self._out.append(frame)

    def flush(self) -> None:
        """Hand what was written to the socket now, not at the end of the turn."""
        if self._transport is not None and self._out and not self.lost.done():
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()

    def abort(self) -> None:
        """End it now; what was written reaches the socket first as far as it takes it."""
        self.flush()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to beat."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise
        self._transport = transport
        self._heard_s = self._beat_s = self._loop.time()
        self._beating = self._loop.call_later(self._heartbeat_s, self._beat)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return what is read into."""
        del sizehint
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        self._heard_s = self._loop.time()
        try:
            frames = self._reader.feed(bytes(self._room[:nbytes]))
        except FrameInvalid as error:
            self._end(f"the hub sent no frame: {error}")
            return
        for frame in frames:
            if self._greeting.done():
                self._came(frame)
            elif "beat" not in frame.head:
                self._greeted(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Say that it is lost."""
        self._end(f"the connection to the hub ended{f': {exc}' if exc else ''}")

    def _greeted(self, frame: Frame) -> None:
        if "error" in frame.head:
            self._greeting.set_exception(error_of(frame.head["error"]))
        elif frame.head.get("hello") != 1:
            told = frame.head.get("hello")
            self._greeting.set_exception(
                BusRefused(f"the hub speaks version {told!r}; this client speaks 1")
            )
        else:
            self._greeting.set_result(frame.head)

    def _beat(self) -> None:
        now_s = self._loop.time()
        late_s = now_s - self._beat_s - self._heartbeat_s
        self._beat_s = now_s
        self._beating = self._loop.call_later(self._heartbeat_s, self._beat)
        # A loop that stood still has not read what came: it listens once more before it judges.
        stood_still = late_s > self._heartbeat_s / 2
        if now_s - self._heard_s > MISSING_BEATS * self._heartbeat_s and not stood_still:
            self._end(f"the hub was silent for {now_s - self._heard_s:.1f} s")
        elif self._transport is not None and not self._transport.get_write_buffer_size():
            self._transport.write(BEAT)

    def _end(self, reason: str) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self._greeting.done():
            self._greeting.set_exception(BusLost(reason))
            self._greeting.exception()
        if self._transport is not None:
            self._transport.abort()
