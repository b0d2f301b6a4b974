"""Who is there, kept in PostgreSQL and told as events.

Place:  postgres -> [postgres_presence] -> postgres_link, postgres_topics
Rule:   a watch tells every change once; what it could not see it works out from who is there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.adapters.postgres_topics import CHANNEL, WAKE, Here, Topics
from mergepoint.bus.contract import Change, Member, PresenceChange
from mergepoint.bus.errors import BusError

MEMBERS_SQL = """
SELECT p.epoch, p.n, (
    SELECT coalesce(json_agg(json_build_object(
        'who', m.process || '.' || m.place, 'address', m.address, 'info', m.info, 'since', m.since
    ) ORDER BY m.since, m.address), '[]') FROM mergepoint.member m
) FROM mergepoint.pulse p
"""
PRESENT_SQL = "SELECT mergepoint.present(%s, %s, %s, %s, %s)"


@dataclass(eq=False)
class PostgresMembership:
    """See `Membership`."""

    presence: Presence
    place: int
    address: str
    info: dict[str, str]
    since: float
    left: bool = False

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told about this member."""
        self.info = dict(info)
        if not self.left:
            await self.presence.write(self, json.dumps(self.info))

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        if not self.left:
            self.left = True
            self.presence.memberships.discard(self)
            await self.presence.write(self, None)


@dataclass(eq=False)
class PostgresWatch:
    """See `PresenceWatch`; bounded by how many members there are and how often they change."""

    presence: Presence
    pattern: str
    start: int = 0
    known: dict[str, Member] = field(default_factory=dict)
    changes: asyncio.Queue[PresenceChange | None] = field(default_factory=asyncio.Queue)
    closed: bool = False

    def __aiter__(self) -> PostgresWatch:
        return self

    async def __anext__(self) -> PresenceChange:
        change = None if self.closed else await self.changes.get()
        if change is None:
            raise StopAsyncIteration
        return change

    async def close(self) -> None:
        """End the iteration."""
        self.closed = True
        self.presence.watches.discard(self)
        self.changes.put_nowait(None)

    def put(self, who: str, member: Member) -> None:
        """Tell that this member is there, or what it says now."""
        if not _matches(self.pattern, member.address):
            return
        old = self.known.get(who)
        self.known[who] = member
        if old is None:
            self.changes.put_nowait(PresenceChange(change=Change.JOINED, member=member))
        elif old.info != member.info:
            self.changes.put_nowait(PresenceChange(change=Change.UPDATED, member=member))

    def remove(self, who: str) -> None:
        """Tell that this member is gone."""
        member = self.known.pop(who, None)
        if member is not None:
            self.changes.put_nowait(PresenceChange(change=Change.LEFT, member=member))


class Presence:
    """Memberships and watches of this process."""

    def __init__(self, link: Link, topics: Topics) -> None:
        self._link = link
        self._topics = topics
        topics.on_presence = self._event
        topics.on_presence_gap = self._look_again
        self.memberships: set[PostgresMembership] = set()
        self.watches: set[PostgresWatch] = set()
        self._places = itertools.count(1)
        self._looking: asyncio.Task[None] | None = None

    async def join(self, address: str, info: Mapping[str, str]) -> PostgresMembership:
        """See `Engine.join`."""
        since = self._link.clock.unix_s()
        member = PostgresMembership(self, next(self._places), address, dict(info), since)
        await self.write(member, json.dumps(member.info))
        self.memberships.add(member)
        return member

    async def watch(self, pattern: str) -> PostgresWatch:
        """See `Engine.watch`."""
        one = PostgresWatch(self, pattern)
        here = await self._topics.here()
        self._topics.start(here)
        epoch, n, members = await self._members()
        one.start = n
        for who, member in members.items():
            one.put(who, member)
        self._topics.start(Here(epoch, n, {}))
        self.watches.add(one)
        self._topics.woken()
        return one

    async def write(self, member: PostgresMembership, info: str | None) -> None:
        """Say in the database what this member is; None: gone."""
        await self._link.call(
            PRESENT_SQL, (self._link.number, member.place, member.address, info, member.since)
        )
        self._link.signal(CHANNEL, WAKE)
        self._topics.woken()

    async def restore(self) -> None:
        """Say again what the server may have forgotten; those who know notice nothing."""
        for member in list(self.memberships):
            await self.write(member, json.dumps(member.info))
        if self.watches:
            self._look_again()

    async def close(self) -> None:
        """End every watch; the members of this process leave with it."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for one in list(self.watches):
            await one.close()

    def _event(self, n: int, told: Mapping[str, Any]) -> None:
        for one in list(self.watches):
            if n <= one.start:
                continue
            if told["change"] == Change.LEFT:
                one.remove(told["who"])
            else:
                one.put(told["who"], _member(told))

    def _look_again(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._compare(), name="postgresql presence")

    async def _compare(self) -> None:
        # Others have lost their connection, too: let them come back before they are missed.
        await self._link.clock.sleep(
            2 * self._link.limits.heartbeat_s + self._link.limits.reconnect_s_max
        )
        try:
            _epoch, n, members = await self._members()
        except BusError:
            return  # restoring the link looks again
        for one in list(self.watches):
            one.start = n
            for who in [who for who in one.known if who not in members]:
                one.remove(who)
            for who, member in members.items():
                one.put(who, member)

    async def _members(self) -> tuple[str, int, dict[str, Member]]:
        ((epoch, n, members),) = await self._link.call(MEMBERS_SQL)
        return epoch, n, {told["who"]: _member(told) for told in members}


def _member(told: Mapping[str, Any]) -> Member:
    return Member(address=told["address"], info=dict(told["info"]), since=told["since"])


def _matches(pattern: str, address: str) -> bool:
    return pattern == "*" or address == pattern or address.partition("/")[0] == pattern
