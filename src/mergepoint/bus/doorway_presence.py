"""Presence as an app sees it: be there, see who is.

Place:  bus.doorway -> [bus.doorway_presence] -> bus.calls, bus.loop
Rule:   one watch of everybody per process, begun by the first question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mergepoint.bus.calls import Calls, named
from mergepoint.bus.contract import Change, Member, Membership, PresenceChange
from mergepoint.bus.doorway_topics import Listening
from mergepoint.bus.errors import BusRefused
from mergepoint.bus.loop import LoopThread
from mergepoint.wire.names import address_matches, check_address, check_watched

QUIET_S = 0.05
"""After the first question, members are known once nothing was told for so long."""


class Joined:
    """The presence of this process at one address."""

    def __init__(self, loop: LoopThread, membership: Membership) -> None:
        self._loop = loop
        self._membership = membership

    def update(self, **info: str) -> None:
        """Replace what is told about it."""
        self._loop.wait(lambda: self._membership.update(info))

    async def aupdate(self, **info: str) -> None:
        """As `update`."""
        await self._loop.join(lambda: self._membership.update(info))

    def leave(self) -> None:
        """Be gone; a second call does nothing."""
        self._loop.wait(self._membership.leave)

    async def aleave(self) -> None:
        """As `leave`."""
        await self._loop.join(self._membership.leave)


class Presence:
    """Who is there."""

    def __init__(self, loop: LoopThread, calls: Calls) -> None:
        self._loop = loop
        self._calls = calls
        self.forget()

    def forget(self) -> None:
        """Be as new, in the child of a fork."""
        self._members: dict[str, Member] = {}
        self._watching: asyncio.Task[None] | None = None
        self._told_at = 0.0

    def join(self, address: str = "", **info: str) -> Joined:
        """Be there, at this process's own address if none is given."""
        return self._loop.wait(lambda: self._join(address, info))

    async def ajoin(self, address: str = "", **info: str) -> Joined:
        """As `join`."""
        return await self._loop.join(lambda: self._join(address, info))

    def members(self, pattern: str = "*") -> list[Member]:
        """Return who is there now: `*`, an app's instances, or one instance; by address."""
        return self._loop.wait(lambda: self._matching(pattern))

    async def amembers(self, pattern: str = "*") -> list[Member]:
        """As `members`."""
        return await self._loop.join(lambda: self._matching(pattern))

    def watch(self, pattern: str = "*") -> Listening[PresenceChange, PresenceChange]:
        """Iterate over who is there, then every change."""
        return self._loop.wait(lambda: self._watch(pattern))

    async def awatch(self, pattern: str = "*") -> Listening[PresenceChange, PresenceChange]:
        """As `watch`."""
        return await self._loop.join(lambda: self._watch(pattern))

    async def _join(self, address: str, info: Mapping[str, str]) -> Joined:
        there = address or self._calls.address
        if not there:
            raise BusRefused("this process has no address; say which: presence.join('tickets/0')")
        named(check_address, there, own=True)
        async with self._calls.call("join", "presence") as engine:
            return Joined(self._loop, await engine.join(there, dict(info)))

    async def _watch(self, pattern: str) -> Listening[PresenceChange, PresenceChange]:
        named(check_watched, pattern, own=True)
        async with self._calls.call("watch", "presence") as engine:
            watch = await engine.watch(pattern)
        return Listening(self._loop, watch, _same)

    async def _matching(self, pattern: str) -> list[Member]:
        named(check_watched, pattern, own=True)
        if self._watching is None or self._watching.done():
            await self._begin()
        found = [one for one in self._members.values() if address_matches(pattern, one.address)]
        return sorted(found, key=lambda member: member.address)

    async def _begin(self) -> None:
        self._members.clear()
        listening = await self._watch("*")
        clock = self._calls.clock
        self._told_at = clock.monotonic_s()
        self._watching = asyncio.ensure_future(self._follow(listening))
        until = clock.monotonic_s() + self._calls.limits.call_s
        while clock.monotonic_s() < min(until, self._told_at + QUIET_S):
            await clock.sleep(QUIET_S / 2)

    async def _follow(self, listening: Listening[PresenceChange, PresenceChange]) -> None:
        async for change in listening:
            self._told_at = self._calls.clock.monotonic_s()
            if change.change is Change.LEFT:
                self._members.pop(change.member.address, None)
            else:
                self._members[change.member.address] = change.member


def _same(change: PresenceChange) -> PresenceChange:
    return change
