"""Presence: who is there, kept by the heartbeat of each process.

Place:  adapters.redis.engine -> [presence] -> lua/join.lua, lua/beat.lua, lua/present.lua
Rule:   every change is numbered in the script that makes it, so a watch neither misses nor repeats.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from mergepoint.bus.adapters.redis import carried
from mergepoint.bus.adapters.redis.link import Link
from mergepoint.bus.contract import Change, Member, PresenceChange
from mergepoint.wire.names import address_matches


class Presence:
    """What one process joined, and what it watches."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._joined: dict[str, Mapping[str, str]] = {}
        self._watches: list[RedisWatch] = []
        link.restored.append(self._again)

    async def join(self, address: str, info: Mapping[str, str]) -> RedisMembership:
        """Be there."""
        await self.tell(address, info)
        return RedisMembership(self, address)

    async def tell(self, address: str, info: Mapping[str, str]) -> None:
        """Be there with this told."""
        self._joined[address] = dict(info)
        await self._link.run("join", self._asked(address, carried.dumped(dict(info))))

    async def leave(self, address: str) -> None:
        """Be gone; nothing happens when it was never there."""
        if self._joined.pop(address, None) is not None:
            await self._link.run("join", self._asked(address, ""))

    async def watch(self, pattern: str) -> RedisWatch:
        """Return a watch that begins with everybody present."""
        watch = RedisWatch(self, pattern, self._link.limits.buffer_messages_max)
        self._watches.append(watch)
        try:
            await self._link.listen("presence", self._came)
            watch.begin(*await self._present())
        except BaseException:
            self.forget(watch)
            raise
        return watch

    def forget(self, watch: RedisWatch) -> None:
        """Tell it no more."""
        if watch in self._watches:
            self._watches.remove(watch)

    def close(self) -> None:
        """End every watch."""
        for watch in tuple(self._watches):
            watch.end()
        self._watches.clear()

    def _asked(self, address: str, info: str) -> dict[str, str]:
        return {"owner": self._link.owner, "address": address, "info": info}

    async def _present(self) -> tuple[int, dict[str, Member]]:
        number, *told = await self._link.run("present", {})
        members = (
            _member(address.decode(), json.loads(packed))
            for address, packed in zip(told[::2], told[1::2], strict=True)
        )
        return int(number), {member.address: member for member in members}

    async def _again(self) -> None:
        """After a reconnection, or after others gave this process up."""
        for address, info in self._joined.items():
            await self._link.run("join", self._asked(address, carried.dumped(dict(info))))
        if self._watches:
            number, members = await self._present()
            for watch in self._watches:
                watch.begin(number, members)

    def _came(self, _channel: bytes, payload: bytes) -> None:
        told = json.loads(payload)
        member = _member(told["address"], told)
        for watch in tuple(self._watches):
            watch.take(int(told["number"]), Change(told["change"]), member)


class RedisMembership:
    """The presence of this process at one address."""

    def __init__(self, presence: Presence, address: str) -> None:
        self._presence = presence
        self._address = address

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told."""
        await self._presence.tell(self._address, info)

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        await self._presence.leave(self._address)


class RedisWatch:
    """Who is there, then every change; a reader that is too slow sees the present state again."""

    def __init__(self, presence: Presence, pattern: str, changes_max: int) -> None:
        self._presence = presence
        self._pattern = pattern
        self._changes_max = changes_max
        self._number: int | None = None
        self._early: list[tuple[int, Change, Member]] = []
        self._members: dict[str, Member] = {}
        self._changes: deque[PresenceChange] = deque()
        self._some = asyncio.Event()
        self._ended = False

    def begin(self, number: int, members: Mapping[str, Member]) -> None:
        """Tell the difference to what is known, then what came while this was read."""
        wanted = {
            address: member
            for address, member in members.items()
            if address_matches(self._pattern, address)
        }
        for address in [one for one in self._members if one not in wanted]:
            self._apply(Change.LEFT, self._members[address])
        for member in wanted.values():
            self._apply(Change.JOINED, member)
        self._number = number
        early, self._early = self._early, []
        for one in early:
            self.take(*one)

    def take(self, number: int, change: Change, member: Member) -> None:
        """Apply a change unless the present state that was read has it already."""
        if self._number is None:
            self._early.append((number, change, member))
        elif number > self._number and address_matches(self._pattern, member.address):
            self._apply(change, member)

    def end(self) -> None:
        """End the iteration."""
        self._ended = True
        self._some.set()

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self._presence.forget(self)
        self.end()

    def __aiter__(self) -> RedisWatch:
        return self

    async def __anext__(self) -> PresenceChange:
        while not self._changes:
            if self._ended:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        if self._ended:
            raise StopAsyncIteration
        return self._changes.popleft()

    def _apply(self, change: Change, member: Member) -> None:
        known = self._members.get(member.address)
        if change is Change.LEFT:
            if known is None:
                return
            del self._members[member.address]
        else:
            if known == member:
                return
            change = Change.JOINED if known is None else Change.UPDATED
            self._members[member.address] = member
        self._changes.append(PresenceChange(change=change, member=member))
        self._shorten()
        self._some.set()

    def _shorten(self) -> None:
        """Keep only the newest change of each member when a reader lets too many wait."""
        if len(self._changes) <= self._changes_max:
            return
        newest = {one.member.address: one for one in self._changes}
        self._changes = deque(newest.values())


def _member(address: str, told: Mapping[str, Any]) -> Member:  # Any: JSON of a script
    return Member(address=address, info=json.loads(told["info"]), since=float(told["since"]) / 1000)
