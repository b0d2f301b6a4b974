"""The doorway itself: every call to the engine goes through here.

Place:  bus.doorway -> [bus.calls] -> an engine
Rule:   checks names, sizes and capabilities, encodes, bounds, counts, and translates errors; runs
        on the engine's loop alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mergepoint.bus.capabilities import Capabilities, demand
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Accepted, Engine, Limits, Put
from mergepoint.bus.counts import OK, Counts
from mergepoint.bus.errors import BusError, BusLost, BusRefused, MessageTooLarge
from mergepoint.bus.joining import Join, Joined, never
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import EnvelopeInvalid, Message, to_attributes
from mergepoint.wire.names import NameInvalid, is_own

log = logging.getLogger("mergepoint.bus")

CANCELLED, FAILED = "cancelled", "failed"


@dataclass
class Calls:
    """What the parts of the doorway share."""

    open_engine: Callable[[], Awaitable[Engine]]
    limits: Limits
    clock: Clock
    codec: Codec
    address: str
    new_id: Callable[[], str]
    context: Callable[[], Mapping[str, str]]
    declared: Callable[[], Capabilities | None] = lambda: None
    """What the engine can do as far as is known without connecting."""
    join: Join = never
    counts: Counts = field(default_factory=Counts)

    @property
    def app(self) -> str:
        """The app this process belongs to."""
        return self.address.partition("/")[0]

    @asynccontextmanager
    async def call(
        self, operation: str, *needs: str, limit_s: float | None = None
    ) -> AsyncIterator[Engine]:
        """Give the open engine for one operation that needs these capabilities.

        It must end within `limit_s` (`call_s` if None). Whatever comes out is a `BusError`.
        """
        begun = self.clock.monotonic_s()
        outcome = OK
        try:
            async with asyncio.timeout(self.limits.call_s if limit_s is None else limit_s):
                engine = await self.open_engine()
                demand(engine.capabilities, *needs)
                yield engine
        except asyncio.CancelledError:
            outcome = CANCELLED
            raise
        except Exception as error:  # the doorway: an adapter's library may raise anything
            told = self._told(operation, error)
            outcome = told.code
            raise told from error.__cause__ if told is error else error
        finally:
            self.counts.add(operation, outcome, self.clock.monotonic_s() - begun)

    def joined(
        self, connection: Any, apart: bool, *needs: str, topic: bool = False
    ) -> Joined | None:
        """Return the transaction that a message is to be a part of; None: it is sent at once.

        What the engine cannot do is refused here already, as far as is known without connecting.
        """
        if apart and connection is not None:
            raise BusRefused("connection= and apart=True: a part of a transaction, or not?")
        found = None if apart else self.join(connection, topic)
        known = self.declared() if found is not None else None
        if known is not None:
            demand(known, *needs)
        return found

    def write(self, joined: Joined, queue: str, puts: Sequence[Put], kind: str) -> list[Accepted]:
        """Write messages into the app's transaction; counted, and no engine is asked."""
        with self._counted(f"{kind}_joined"):
            return joined.put(queue, puts)

    async def awrite(
        self, joined: Joined, queue: str, puts: Sequence[Put], kind: str
    ) -> list[Accepted]:
        """As `write`."""
        with self._counted(f"{kind}_joined"):
            return await joined.aput(queue, puts)

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        begun = self.clock.monotonic_s()
        outcome = FAILED
        try:
            yield
            outcome = OK
        except BusError as error:
            outcome = error.code
            raise
        finally:
            self.counts.add(operation, outcome, self.clock.monotonic_s() - begun)

    def message(self, kind: str, value: Any, **attributes: Any) -> Message:
        """Return the envelope of a value, with the context of whoever calls.

        Called in the caller's thread, where the context is. `id`, `subject` and further
        `extensions` may be given. Raises `Undecodable` and `MessageTooLarge`.
        """
        data, content_type = self.codec.encode(value)
        size, most = len(data), self.limits.message_bytes_max
        if size > most:
            raise MessageTooLarge(
                f"{size} bytes; a message may have {most}",
                next="send a reference, or raise [bus] message_bytes_max",
            )
        message = Message(
            id=attributes.get("id") or self.new_id(),
            source=f"/{self.address}",
            type=kind,
            data=data,
            datacontenttype=content_type,
            time=datetime.fromtimestamp(self.clock.unix_s(), UTC).isoformat(),
            subject=attributes.get("subject", ""),
            extensions={
                **({"mpapp": self.app} if self.app else {}),
                **self.context(),
                **attributes.get("extensions", {}),
            },
        )
        try:
            to_attributes(message)
        except EnvelopeInvalid as invalid:
            raise BusRefused(str(invalid)) from None
        return message

    def value(self, message: Message) -> Any:
        """Return what a message holds; raise `Undecodable`."""
        return self.codec.decode(message.data, message.datacontenttype)

    async def capabilities(self) -> Capabilities:
        """Return what the engine can do; connects if need be."""
        async with self.call("open") as engine:
            return engine.capabilities

    def _told(self, operation: str, error: Exception) -> BusError:
        if isinstance(error, BusError):
            return error
        if isinstance(error, TimeoutError):
            return BusLost(
                f"the bus did not answer {operation} in {self.limits.call_s:g} s; it may or may not"
                " have happened",
                next="mergepoint status",
            )
        if isinstance(error, OSError | EOFError):
            return BusLost(f"the bus was lost during {operation}: {error}")
        if isinstance(error, EnvelopeInvalid):
            return BusRefused(str(error))
        log.error("%s failed in the bus engine", operation, exc_info=error)
        return BusError(f"{operation} failed in the bus engine: {type(error).__name__}: {error}")


def named(check: Callable[[str], str], name: str, *, own: bool = False) -> str:
    """Return the name if it is one that an app may use; raise `BusRefused`."""
    try:
        check(name)
    except NameInvalid as invalid:
        raise BusRefused(str(invalid)) from None
    if is_own(name) and not own:
        raise BusRefused(f"{name!r}: names that begin with mp. are Mergepoint's own")
    return name
