"""One connection: frames in, frames out, both bounded.

Place:  a socket <-> [bus.hub.connection] <-> bus.hub.server
Rule:   knows lengths and pressure, nothing of queues; garbage ends it, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from mergepoint.wire.frames import Frame, FrameInvalid, FrameReader, encode_json

PUSH_BYTES = 64 * 1024
"""Live messages are written until more than this waits for the reader."""
PUSH_AGAIN_BYTES = 16 * 1024
"""And again when it has read down to this."""
READ_BYTES = 64 * 1024
"""What one read takes at most."""
BEAT = encode_json({"beat": 1})


class Owner(Protocol):
    """What a connection tells."""

    def opened(self, connection: Connection) -> None:
        """Somebody is there."""
        ...

    def came(self, connection: Connection, frame: Frame) -> None:
        """A frame came."""
        ...

    def closed(self, connection: Connection) -> None:
        """Nobody is there any more."""
        ...

    def wants_flush(self, connection: Connection) -> None:
        """Something waits to be written."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One client's socket.

    `room` is what it reads into, and may be everybody's: what came is taken out at once. Memory
    made for every read, as other protocols of asyncio have it, cost more than reading.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        frame_bytes_max: int,
        outgoing_bytes_max: int,
        remote: bool,
        room: memoryview,
    ) -> None:
        self.remote = remote
        """Whether it came over TCP, where silence is no sign of life."""
        self.session: Any = None
        """Whose it is, once it has said hello; Any: the server's own."""
        self.heard_s = 0.0
        """When something came last."""
        self.moved_s = 0.0
        """When something that waits was taken last."""
        self.calls = 0
        """Calls that wait for their answer."""
        self.open = False
        self.more: Callable[[], list[bytes]] | None = None
        """Asked for live messages when there is room."""
        self._owner = owner
        self._outgoing_bytes_max = outgoing_bytes_max
        self._reader = FrameReader(frame_bytes_max=frame_bytes_max)
        self._room = room
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._paused_reading = False
        self._waiting_before = 0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the client speaks first."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise
        self._transport = transport
        transport.set_write_buffer_limits(high=PUSH_BYTES, low=PUSH_AGAIN_BYTES)
        self.open = True
        self.heard_s = self.moved_s = self._loop.time()
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return what is read into."""
        del sizehint
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes; whoever sends no frames is cut off."""
        self.heard_s = self._loop.time()
        try:
            frames = self._reader.feed(bytes(self._room[:nbytes]))
        except FrameInvalid as error:
            self.refuse("bus.refused", str(error))
            return
        for one in frames:
            if self.open:
                self._owner.came(self, one)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        del exc
        if self.open:
            self.open = False
            self._owner.closed(self)

    def resume_writing(self) -> None:
        """Write what waited for room."""
        self.moved_s = self._loop.time()
        self._owner.wants_flush(self)

    def send(self, head: Any, *parts: bytes) -> None:  # Any: whatever JSON holds
        """Write a frame with the next flush."""
        self.send_frame(encode_json(head, parts))

    def send_frame(self, encoded: bytes) -> None:
        """Write a frame that is encoded already with the next flush."""
        if self.open:
            if not self._out:
                self._owner.wants_flush(self)
            self._out.append(encoded)

    def flush(self) -> None:
        """Hand everything to the socket, live messages only while there is room."""
        transport = self._transport
        if transport is None or not self.open:
            self._out.clear()
            return
        if self._out:
            transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        while self.more is not None and transport.get_write_buffer_size() <= PUSH_BYTES:
            frames = self.more()
            if not frames:
                break
            transport.write(b"".join(frames))
        self._press()

    def beat(self, now_s: float, stalled_s: float) -> None:
        """Send a sign of life, unless enough waits that is one; end it if nothing moves."""
        if not self.open or self._transport is None:
            return
        waiting = self._transport.get_write_buffer_size()
        if waiting != self._waiting_before:
            self._waiting_before = waiting
            self.moved_s = now_s
        if not waiting:
            self.moved_s = now_s
            if self.session is not None:
                self._transport.write(BEAT)
        elif now_s - self.moved_s > stalled_s:
            self.abort()

    def call_began(self) -> None:
        """Count a call that will be answered."""
        self.calls += 1

    def press(self, calls_max: int) -> None:
        """Read no more while too many calls wait for their answer."""
        if self.calls >= calls_max and not self._paused_reading:
            self._pause()

    def call_ended(self, calls_max: int) -> None:
        """Count an answer."""
        self.calls -= 1
        if self._paused_reading and self.calls <= calls_max // 2:
            self._press()

    def refuse(self, code: str, message: str, next: str = "") -> None:  # noqa: A002
        """Say why, and end it."""
        self.send({"error": {"code": code, "message": message, "next": next}})
        self.close()

    def close(self) -> None:
        """End it when what waits is written."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def _press(self) -> None:
        transport = self._transport
        if transport is None:
            return
        waiting = transport.get_write_buffer_size()
        if waiting > self._outgoing_bytes_max:
            self._pause()
        elif self._paused_reading and waiting <= self._outgoing_bytes_max // 2:
            self._paused_reading = False
            transport.resume_reading()

    def _pause(self) -> None:
        if not self._paused_reading and self._transport is not None:
            self._paused_reading = True
            self._transport.pause_reading()
