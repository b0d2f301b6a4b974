"""The half of an engine that is alike on every live connection: requests, presence, sizes, ends.

Place:  bus.adapters.nats, xmpp, zeromq -> [live_half] -> their links, requests and presence
Rule:   refuses what is closed or too large before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from mergepoint.bus.contract import Handler, Membership, PresenceWatch, Serving
from mergepoint.bus.errors import MessageTooLarge
from mergepoint.wire.envelope import Message


class LiveLink(Protocol):
    """A connection that may be closed, and cut."""

    def alive(self) -> None:
        """Raise `BusClosed` after it was closed."""
        ...

    def vanish(self) -> None:
        """Cut the wire without a word."""
        ...


class Asking(Protocol):
    """Requests, and who answers them."""

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or one error."""
        ...

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        ...


class Attending(Protocol):
    """Who is there."""

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there."""
        ...

    async def watch(self, pattern: str) -> PresenceWatch:
        """Watch who is there."""
        ...


LinkType = TypeVar("LinkType", bound=LiveLink)
RequestsType = TypeVar("RequestsType", bound=Asking)
PresenceType = TypeVar("PresenceType", bound=Attending)


class LiveHalf(Generic[LinkType, RequestsType, PresenceType]):
    """An engine that keeps its parts under these names inherits what they do together."""

    _name: str
    _bytes_max: int
    _link: LinkType
    _requests: RequestsType
    _presence: PresenceType

    def vanish(self) -> None:
        """Be gone as by `kill -9`: no word to anybody."""
        self._stop()
        self._link.vanish()

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """Return the one answer, or one error."""
        self._check(message)
        return await self._requests.request(address, message, timeout_s)

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        self._link.alive()
        return await self._requests.serve(address, handler)

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there, for processes and, where the engine has them, for people."""
        self._link.alive()
        return await self._presence.join(address, info)

    async def watch(self, pattern: str) -> PresenceWatch:
        """Watch who is there."""
        self._link.alive()
        return await self._presence.watch(pattern)

    def _check(self, message: Message) -> None:
        self._link.alive()
        size, most = len(message.data), self._bytes_max
        if size > most:
            raise MessageTooLarge(f"{size} bytes; a message over {self._name} may have {most}")

    def _stop(self) -> None:
        raise NotImplementedError
