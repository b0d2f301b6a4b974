"""What a process keeps with the hub over every connection: listening, serving, being there.

Place:  bus.adapters.hub -> [bus.adapters.hub_live] -> bus.adapters.hub_link
Rule:   each knows how to be made again; nobody who holds one notices but by `Gap(0)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from mergepoint.bus.adapters.hub_link import HubLink
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import Change, Gap, Handler, Limits, Member, PresenceChange
from mergepoint.bus.errors import BusClosed, BusError, BusLost
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import (
    ATTRIBUTE_BYTES_MAX,
    SPEC_VERSION,
    EnvelopeInvalid,
    Message,
    from_attributes,
    to_attributes,
)
from mergepoint.wire.frames import Frame, cut

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
Forget = Callable[[Any], None]
"""Takes something out of what is restored."""


def packed(message: Message) -> tuple[bytes, bytes]:
    """Return attributes and data as they travel."""
    if message.extensions:
        return _to_json(to_attributes(message)).encode(), message.data
    # The usual case without a check of every name: they are all our own.
    attributes = {
        "specversion": SPEC_VERSION,
        "id": message.id,
        "source": message.source,
        "type": message.type,
        "datacontenttype": message.datacontenttype,
    }
    if message.time:
        attributes["time"] = message.time
    if message.subject:
        attributes["subject"] = message.subject
    encoded = _to_json(attributes).encode()
    if len(encoded) > ATTRIBUTE_BYTES_MAX:
        to_attributes(message)  # says which is too long, if one is
    return encoded, message.data


def unpacked(attributes: bytes, data: bytes) -> Message:
    """Return the message; raise `EnvelopeInvalid`."""
    try:
        decoded = json.loads(attributes)
    except ValueError as error:
        raise EnvelopeInvalid(f"attributes are no JSON: {error}") from None
    return from_attributes(decoded, data)


class HubSubscription:
    """Live messages of one pattern."""

    def __init__(
        self, link: HubLink, number: int, head: dict[str, Any], limits: Limits, forget: Forget
    ) -> None:
        self.number = number
        self._link = link
        self._head = head
        self._forget = forget
        self._buffer = Buffer(limits)
        self._next = 0
        self._closed = False

    def start(self, *, early: bool) -> asyncio.Future[Any]:
        """Ask the hub for it; every number begins again."""
        self._next = 0
        return self._link.start({**self._head, "sub": self.number}, repeat=not early, early=early)[
            1
        ]

    def lost(self) -> None:
        """Say that something may be missing."""
        self._buffer.gap(0)

    def came(self, frame: Frame) -> None:
        """Take messages; a jump in their numbers is what the hub dropped."""
        first = frame.head["s"]
        if first > self._next:
            self._buffer.gap(first - self._next)
        parts = cut(frame.rest, frame.head["n"])
        for at in range(0, len(parts), 2):
            try:
                self._buffer.offer(unpacked(parts[at], parts[at + 1]))
            except EnvelopeInvalid:
                self._buffer.gap(1)
        self._next = first + len(parts) // 2

    def __aiter__(self) -> AsyncIterator[Message | Gap]:
        return self._buffer

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        if not self._closed:
            self.end()
            try:
                await self._link.call({"op": "unsubscribe", "sub": self.number}, repeat=True)
            except (BusLost, BusClosed):
                return

    def end(self) -> None:
        """End the iteration without telling the hub."""
        self._closed = True
        self._forget(self)
        self._buffer.close()


class HubServing:
    """An address this process answers."""

    def __init__(self, link: HubLink, address: str, handler: Handler, forget: Forget) -> None:
        self.address = address
        self._link = link
        self._handler = handler
        self._forget = forget
        self._running: set[asyncio.Task[None]] = set()

    def start(self, *, early: bool) -> asyncio.Future[Any]:
        """Ask the hub for requests."""
        head = {"op": "serve", "address": self.address}
        return self._link.start(head, repeat=not early, early=early)[1]

    def asked(self, frame: Frame) -> None:
        """Answer a request in a task of its own; the hub limits how many."""
        task = asyncio.create_task(self._answer(frame))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, frame: Frame) -> None:
        number = frame.head["call"]
        try:
            attributes, data = cut(frame.rest, frame.head["n"])
            parts = packed(await self._handler(unpacked(attributes, data)))
        except MergepointError as error:
            told = {"code": error.code, "message": error.message, "next": error.next}
            self._link.send({"answer": number, "error": told})
        except Exception as error:
            # Whatever a handler raises is an answer for who asked.
            told = {"code": "error", "message": f"{type(error).__name__}: {error}", "next": ""}
            self._link.send({"answer": number, "error": told})
        else:
            self._link.send({"answer": number, "n": [len(part) for part in parts]}, parts)

    async def close(self) -> None:
        """Take no more requests, let those in hand be answered."""
        self._forget(self)
        with contextlib.suppress(BusLost, BusClosed):
            await self._link.call({"op": "unserve", "address": self.address}, repeat=True)
        await asyncio.gather(*self._running, return_exceptions=True)

    def end(self) -> None:
        """Let go of requests in hand."""
        for task in self._running:
            task.cancel()


class HubMembership:
    """The presence of this process at one address."""

    def __init__(
        self,
        link: HubLink,
        number: int,
        address: str,
        info: Mapping[str, str],
        since: float,
        forget: Forget,
    ) -> None:
        self._link = link
        self._number = number
        self._address = address
        self._info = dict(info)
        self._since = since
        self._forget = forget
        self._left = False

    def start(self, *, early: bool) -> asyncio.Future[Any]:
        """Be there, since when it was first."""
        head = {"op": "join", "member": self._number, "address": self._address}
        return self._link.start(
            {**head, "info": self._info, "since": self._since}, repeat=not early, early=early
        )[1]

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told about this member."""
        self._info = dict(info)
        if not self._left:
            head = {"op": "update", "member": self._number, "info": self._info}
            await self._link.call(head, repeat=True)

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        if not self._left:
            self._left = True
            self._forget(self)
            await self._link.call({"op": "leave", "member": self._number}, repeat=True)

    def end(self) -> None:
        """Nothing to let go of: the hub sees the connection end."""


class HubWatch:
    """Who is there, and what changes."""

    def __init__(
        self, link: HubLink, number: int, pattern: str, limits: Limits, forget: Forget
    ) -> None:
        self.number = number
        self._link = link
        self._pattern = pattern
        self._limits = limits
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._here: dict[str, Member] = {}
        self._changes: deque[PresenceChange] = deque()
        self._came = asyncio.Event()
        self._closed = False
        self._missing: set[str] = set()

    def start(self, *, early: bool) -> asyncio.Future[Any]:
        """Ask the hub for it."""
        head = {"op": "watch", "watch": self.number, "pattern": self._pattern}
        return self._link.start(head, repeat=not early, early=early)[1]

    def came(self, frame: Frame) -> None:
        """Take changes, or who is there after a new connection."""
        if "all" in frame.head:
            self._compare(frame.head["all"])
            return
        for change, address, info, since in frame.head["changes"]:
            member = Member(address=address, info=info, since=since)
            if change == Change.LEFT:
                self._leave(address)
            else:
                self._join(member, told=Change(change))

    def _compare(self, told: list[Any]) -> None:
        for _, address, info, since in told:
            self._join(Member(address=address, info=info, since=since), told=Change.JOINED)
        self._missing = set(self._here) - {address for _, address, _, _ in told}
        if self._missing:
            # After a restart of the hub the others come back within their own pauses.
            settle_s = self._limits.reconnect_s_max + self._limits.heartbeat_s
            self._loop.call_later(settle_s, self._settle, self._missing)

    def _settle(self, missing: set[str]) -> None:
        for address in sorted(missing):
            self._leave(address)
        missing.clear()

    def _join(self, member: Member, *, told: Change) -> None:
        known = self._here.get(member.address)
        self._here[member.address] = member
        self._missing.discard(member.address)
        if known is None:
            self._add(PresenceChange(change=Change.JOINED, member=member))
        elif known.info != member.info or told is Change.UPDATED:
            self._add(PresenceChange(change=Change.UPDATED, member=member))

    def _leave(self, address: str) -> None:
        member = self._here.pop(address, None)
        if member is not None:
            self._add(PresenceChange(change=Change.LEFT, member=member))

    def _add(self, change: PresenceChange) -> None:
        self._changes.append(change)
        if len(self._changes) > self._limits.buffer_messages_max:
            # Whoever reads so slowly is told the last of each member.
            last = {one.member.address: one for one in self._changes}
            self._changes = deque(last.values())
        self._came.set()

    def __aiter__(self) -> AsyncIterator[PresenceChange]:
        return self._read()

    async def _read(self) -> AsyncIterator[PresenceChange]:
        while not self._closed:
            while self._changes:
                yield self._changes.popleft()
            self._came.clear()
            if not self._closed:
                await self._came.wait()

    async def close(self) -> None:
        """End the iteration."""
        if not self._closed:
            self.end()
            try:
                await self._link.call({"op": "unwatch", "watch": self.number}, repeat=True)
            except BusError:
                return

    def end(self) -> None:
        """End the iteration without telling the hub."""
        self._closed = True
        self._forget(self)
        self._came.set()
