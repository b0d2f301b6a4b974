"""Who is there, on NATS: signs of life kept in a stream that forgets them, and heard live.

Place:  bus.adapters.nats -> [nats_presence] -> nats_link, roster
Rule:   whoever is silent for longer than two heartbeats and a half is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import replace

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as Raw

from mergepoint.bus.adapters.nats_link import NO_STREAM, ApiFault, Link
from mergepoint.bus.adapters.roster import ChangeBuffer, Roster, Sign, from_bytes, to_bytes
from mergepoint.bus.contract import Limits, Member
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock

SILENCE_HEARTBEATS = 2.5


class Membership:
    """One joining."""

    def __init__(self, presence: Presence, member: Member) -> None:
        self.sign = Sign(uuid.uuid4().hex[:16], member)
        self._presence = presence

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told; nothing when it has left."""
        if not self.sign.left:
            self.sign = replace(self.sign, member=replace(self.sign.member, info=dict(info)))
            await self._presence.show(self.sign)

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        if not self.sign.left:
            self.sign = replace(self.sign, left=True)
            self._presence.forget(self)
            await self._presence.show(self.sign)


class Watch(ChangeBuffer):
    """One watch, over as many connections as it lives."""

    def __init__(self, presence: Presence, pattern: str, limits: Limits) -> None:
        super().__init__(limits.buffer_messages_max)
        self.pattern = pattern
        self.roster = Roster(pattern, SILENCE_HEARTBEATS * limits.heartbeat_s)
        self._presence = presence
        self._raw: Raw | None = None

    async def attach(self, client: Client) -> None:
        """Hear on this connection; return when the server knows."""
        self.roster.excuse(self._presence.now_s())
        subject = self._presence.link.names.presence(self.pattern)
        self._raw = await client.subscribe(subject, cb=self._on_sign)
        await self._presence.link.settle(client)

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        await super().close()
        raw, self._raw = self._raw, None
        if raw is not None and self._presence.link.connected:
            await raw.unsubscribe()

    def hear(self, data: bytes) -> None:
        """Take one sign in."""
        if (sign := from_bytes(data)) is not None:
            self.tell(self.roster.hear(sign, self._presence.now_s()))

    async def _on_sign(self, message: Msg) -> None:
        self.hear(message.data)


class Presence:
    """Members and watches of one connection."""

    def __init__(self, link: Link, limits: Limits, clock: Clock) -> None:
        self.link = link
        self._limits = limits
        self._clock = clock
        self._members: list[Membership] = []
        self._watches: list[Watch] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Give signs of life, and notice who gives none, from now on."""
        self._task = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """Be silent, and end every watch."""
        if self._task is not None:
            self._task.cancel()
        for watch in self._watches:
            watch.end()

    async def leave_all(self) -> None:
        """Leave everywhere."""
        for member in list(self._members):
            with contextlib.suppress(BusError):
                await member.leave()

    async def attach(self, client: Client) -> None:
        """Watch again on a new connection; the next beat shows who is here."""
        for watch in list(self._watches):
            await watch.attach(client)

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there."""
        member = Member(address=address, info=dict(info), since=self._clock.unix_s())
        membership = Membership(self, member)
        await self.show(membership.sign)
        self._members.append(membership)
        return membership

    async def watch(self, pattern: str) -> Watch:
        """Watch who is there, whoever is there first."""
        watch = Watch(self, pattern, self._limits)
        await self.link.unless_lost(watch.attach(await self.link.client()))
        await self._show_present(watch)
        self._watches.append(watch)
        watch.on_close = lambda: self._watches.remove(watch)
        return watch

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return self._clock.monotonic_s()

    def forget(self, membership: Membership) -> None:
        """Give no more signs of it."""
        if membership in self._members:
            self._members.remove(membership)

    async def show(self, sign: Sign) -> None:
        """Give one sign, kept for who comes later."""
        stream = await self.link.stream("here")
        subject = self.link.names.presence(sign.member.address, sign.id)
        try:
            await self.link.store(subject, to_bytes(sign), {})
        except ApiFault as fault:
            if fault.code == NO_STREAM:
                self.link.forget(stream)
            raise fault.told() from None

    async def _show_present(self, watch: Watch) -> None:
        stream = await self.link.stream("here")
        subject, sequence = self.link.names.presence(watch.pattern), 1
        while True:
            try:
                stored = await self.link.stored(stream, seq=sequence, next_by_subj=subject)
            except ApiFault as fault:
                raise fault.told() from None
            if stored is None:
                return
            watch.hear(stored.data)
            sequence = stored.sequence + 1

    async def _beat(self) -> None:
        """Show everybody who is here; take out whoever was not heard of."""
        while True:
            await asyncio.sleep(self._limits.heartbeat_s / 2)
            for membership in list(self._members):
                with contextlib.suppress(BusError):
                    await self.show(membership.sign)
            if self.link.connected:
                for watch in list(self._watches):
                    watch.tell(watch.roster.sweep(self.now_s()))
