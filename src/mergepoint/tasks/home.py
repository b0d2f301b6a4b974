"""What tasks need of the site they belong to; `mergepoint.connect()` hands it over.

Place:  mergepoint.Site -> [tasks.home] <- tasks.declare, tasks.sending
Rule:   a leaf: one protocol. Nothing in tasks fetches an environment, a clock or a connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from mergepoint.bus.contract import Engine
from mergepoint.core.clock import Clock
from mergepoint.tasks.contract import Ledger

T = TypeVar("T")


class Codec(Protocol):
    """Values to bytes and back, by the site's serializer."""

    def encode(self, value: Any) -> tuple[bytes, str]:
        """Return the bytes and their content type; raise `Undecodable` with what cannot be."""
        ...

    def decode(self, data: bytes, content_type: str) -> Any:
        """Return the value of any content type this site reads; raise `Undecodable`."""
        ...


class Home(Protocol):
    """A site, as tasks see it."""

    @property
    def clock(self) -> Clock:
        """The site's time."""
        ...

    @property
    def codec(self) -> Codec:
        """How arguments and results become bytes."""
        ...

    @property
    def address(self) -> str:
        """Who this process is, `tickets/0`; the source of its messages."""
        ...

    async def engine(self) -> Engine:
        """Return the open engine; called on the site's loop."""
        ...

    async def ledger(self) -> Ledger:
        """Return the ledger; called on the site's loop."""
        ...

    def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run this on the site's loop and wait, from blocking code."""
        ...

    async def join(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run this on the site's loop and wait, from a coroutine of any loop."""
        ...

    def context(self) -> Mapping[str, str]:
        """Return the extensions for what is being done now: request id, trace, who asks."""
        ...
