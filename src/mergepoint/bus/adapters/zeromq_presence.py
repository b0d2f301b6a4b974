"""Who is there, over ZeroMQ: signs of life that everybody hears, kept by nobody but who listens.

Place:  bus.adapters.zeromq -> [zeromq_presence] -> zeromq_link, roster
Rule:   whoever is silent for two heartbeats and a half is gone; a new watch asks, all answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import replace

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.adapters.roster import ChangeBuffer, Roster, Sign, from_bytes, to_bytes
from mergepoint.bus.adapters.zeromq_link import Link
from mergepoint.bus.adapters.zeromq_relay import Frames
from mergepoint.bus.contract import Member
from mergepoint.bus.errors import BusError

SILENCE_HEARTBEATS = 2.5
SIGN, WHO = wire.PRESENCE + b"sign" + wire.END, wire.PRESENCE + b"who" + wire.END


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
    """One watch."""

    def __init__(self, link: Link, pattern: str) -> None:
        super().__init__(link.limits.buffer_messages_max)
        self.roster = Roster(pattern, SILENCE_HEARTBEATS * link.limits.heartbeat_s)


class Presence:
    """Members and watches of this process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._members: list[Membership] = []
        self._watches: list[Watch] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Hear who asks, and give signs of life, from now on."""
        await self._link.listen(WHO)
        self._spawn()

    def stop(self) -> None:
        """Be silent, and end every watch."""
        for task in self._tasks:
            task.cancel()
        for watch in self._watches:
            watch.end()

    async def leave_all(self) -> None:
        """Leave everywhere."""
        for member in list(self._members):
            with contextlib.suppress(BusError):
                await member.leave()

    async def restore(self) -> None:
        """It was this process that heard nothing: nobody is gone for that."""
        for watch in self._watches:
            watch.roster.excuse(self._now_s())
        await self._show_all()

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there."""
        since = self._link.clock.unix_s()
        membership = Membership(self, Member(address=address, info=dict(info), since=since))
        self._members.append(membership)
        await self.show(membership.sign)
        return membership

    async def watch(self, pattern: str) -> Watch:
        """Watch who is there; whoever is there says so when asked."""
        watch = Watch(self._link, pattern)
        await self._link.listen(SIGN)
        self._watches.append(watch)
        watch.on_close = lambda: self._forget_watch(watch)
        await self._link.send(wire.PUBLISH, WHO)
        return watch

    def hear(self, frames: Frames) -> None:
        """Take in a sign, or a question who is there."""
        if frames[0] == WHO:
            task = asyncio.ensure_future(self._show_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(frames) == 2 and (sign := from_bytes(frames[1])) is not None:
            for watch in self._watches:
                watch.tell(watch.roster.hear(sign, self._now_s()))

    async def show(self, sign: Sign) -> None:
        """Give one sign."""
        await self._link.send(wire.PUBLISH, SIGN, to_bytes(sign))

    def forget(self, membership: Membership) -> None:
        """Give no more signs of it."""
        if membership in self._members:
            self._members.remove(membership)

    def _forget_watch(self, watch: Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)
            self._link.unlisten(SIGN)

    async def _show_all(self) -> None:
        for membership in list(self._members):
            with contextlib.suppress(BusError):
                await self.show(membership.sign)

    def _spawn(self) -> None:
        task = asyncio.create_task(self._beat())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._link.limits.heartbeat_s / 2)
            if self._link.connected:
                await self._show_all()
                for watch in list(self._watches):
                    watch.tell(watch.roster.sweep(self._now_s()))

    def _now_s(self) -> float:
        return self._link.clock.monotonic_s()
