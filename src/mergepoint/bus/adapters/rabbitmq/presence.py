"""Presence: signs of life in a fanout exchange, and a call for them when a watch begins.

Place:  adapters.rabbitmq.engine -> [presence] -> link, adapters.roster
Rule:   a member that is silent for two heartbeats and a half is gone, whoever said otherwise.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, ExchangeType

from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.adapters.roster import ChangeBuffer, Roster, Sign, from_bytes, to_bytes
from mergepoint.bus.contract import Member
from mergepoint.bus.errors import BusError

SILENCE_BEATS = 2.5
WHO = b"who"
"""What a new watch sends; everybody answers with a sign."""


@dataclass(eq=False)
class Watch:
    """One watch: what it knows, and what its reader has not read."""

    roster: Roster
    changes: ChangeBuffer


class Presence:
    """What one process joined, and what it watches."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._joined: list[RabbitmqMembership] = []
        self._watches: list[Watch] = []
        self._queue: AbstractQueue | None = None
        link.restored.append(self._restored)
        link.beats.append(self._beat)

    async def join(self, address: str, info: Mapping[str, str]) -> RabbitmqMembership:
        """Be there."""
        await self._listen()
        member = Member(address=address, info=dict(info), since=self._link.clock.unix_s())
        membership = RabbitmqMembership(self, Sign(uuid.uuid4().hex, member))
        await self.say(membership.sign)
        self._joined.append(membership)
        return membership

    async def watch(self, pattern: str) -> ChangeBuffer:
        """Watch; everybody present says so now."""
        await self._listen()
        limits = self._link.limits
        watch = Watch(
            Roster(pattern, SILENCE_BEATS * limits.heartbeat_s),
            ChangeBuffer(limits.buffer_messages_max),
        )
        watch.changes.on_close = lambda: self._watches.remove(watch)
        self._watches.append(watch)
        await self._send(WHO)
        return watch.changes

    async def say(self, sign: Sign) -> None:
        """Tell everybody."""
        await self._send(to_bytes(sign))

    async def leave(self, membership: RabbitmqMembership) -> None:
        """Be gone; a second call does nothing."""
        if membership in self._joined:
            self._joined.remove(membership)
            await self.say(replace(membership.sign, left=True))

    async def close(self) -> None:
        """Leave everything and end every watch."""
        for watch in tuple(self._watches):
            watch.changes.end()
        self._watches.clear()
        for membership in tuple(self._joined):
            with contextlib.suppress(BusError):
                await self.leave(membership)

    @property
    def _exchange(self) -> str:
        return f"{self._link.prefix}presence"

    async def _send(self, body: bytes) -> None:
        await self._link.publish(self._exchange, "", aio_pika.Message(body))

    async def _listen(self) -> None:
        if self._queue is None:
            await self._link.call(self._consume())

    async def _consume(self) -> None:
        channel = self._link.channel("live")
        queue: AbstractQueue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(self._exchange)
        await queue.consume(self._came, no_ack=True)
        self._queue = queue

    async def _restored(self) -> None:
        await self._link.control(
            lambda channel: channel.declare_exchange(
                self._exchange, ExchangeType.FANOUT, durable=True
            )
        )
        if self._queue is not None:
            await self._consume()
            now = self._link.clock.monotonic_s()
            for watch in self._watches:
                watch.roster.excuse(now)
            await self._beat()

    async def _beat(self) -> None:
        for membership in tuple(self._joined):
            await self.say(membership.sign)
        self._sweep()

    def _sweep(self) -> None:
        now = self._link.clock.monotonic_s()
        for watch in tuple(self._watches):
            watch.changes.tell(watch.roster.sweep(now))

    async def _came(self, delivery: AbstractIncomingMessage) -> None:
        if delivery.body == WHO:
            with contextlib.suppress(BusError):
                for membership in tuple(self._joined):
                    await self.say(membership.sign)
            return
        sign = from_bytes(delivery.body)
        if sign is not None:
            now = self._link.clock.monotonic_s()
            for watch in tuple(self._watches):
                watch.changes.tell(watch.roster.hear(sign, now))


class RabbitmqMembership:
    """The presence of this process at one address."""

    def __init__(self, presence: Presence, sign: Sign) -> None:
        self.sign = sign
        self._presence = presence

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told."""
        self.sign = replace(self.sign, member=replace(self.sign.member, info=dict(info)))
        await self._presence.say(self.sign)

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        await self._presence.leave(self)
