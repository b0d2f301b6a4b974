"""Who is there, over XMPP: the presence of the account's resources, which the server watches.

Place:  bus.adapters.xmpp -> [xmpp_presence] -> xmpp_link
Rule:   a process tells all it is in one presence; the server tells when its connection is gone.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mergepoint.bus.adapters import xmpp_stanza as stanza
from mergepoint.bus.adapters.roster import ChangeBuffer, Roster, Sign
from mergepoint.bus.adapters.xmpp_link import Link
from mergepoint.bus.contract import Member

FOREVER_S = float("inf")


class Membership:
    """One joining."""

    def __init__(self, presence: Presence, member: Member) -> None:
        self.sign = Sign(uuid.uuid4().hex[:16], member)
        self._presence = presence

    async def update(self, info: Mapping[str, str]) -> None:
        """Replace what is told; nothing when it has left."""
        if not self.sign.left:
            self.sign = replace(self.sign, member=replace(self.sign.member, info=dict(info)))
            await self._presence.show()

    async def leave(self) -> None:
        """Be gone; a second call does nothing."""
        if not self.sign.left:
            self.sign = replace(self.sign, left=True)
            self._presence.forget(self)
            await self._presence.show()


class Watch(ChangeBuffer):
    """One watch."""

    def __init__(self, link: Link, pattern: str) -> None:
        super().__init__(link.limits.buffer_messages_max)
        self.roster = Roster(pattern, FOREVER_S)  # the server notices silence, not we


class Presence:
    """What this process is and serves, and what it knows of the others."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._members: list[Membership] = []
        self._watches: list[Watch] = []
        self._here: dict[str, stanza.Here] = {}
        self.serves: list[str] = []
        self.on_gone: Callable[[str], None] = lambda _jid: None

    def stop(self) -> None:
        """End every watch."""
        for watch in self._watches:
            watch.end()

    async def restore(self) -> None:
        """Begin anew: whoever is not seen again has left in between."""
        before, self._here = self._here, {}
        await self._send()
        await self._link.settle()
        for jid, here in before.items():
            self._changed(here, self._here.get(jid, stanza.Here()))

    async def show(self) -> None:
        """Tell what is here; return when every process that is connected was told."""
        await self._link.client()
        await self._send()
        await self._link.settle()

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there."""
        since = self._link.clock.unix_s()
        membership = Membership(self, Member(address=address, info=dict(info), since=since))
        self._members.append(membership)
        await self.show()
        return membership

    async def watch(self, pattern: str) -> Watch:
        """Watch who is there, whoever is there first."""
        await self._link.client()
        await self._link.settle()
        watch = Watch(self._link, pattern)
        self._watches.append(watch)
        watch.on_close = lambda: self._watches.remove(watch)
        for here in self._here.values():
            for sign in here.signs:
                watch.tell(watch.roster.hear(sign, 0.0))
        return watch

    async def serving(self, address: str) -> list[str]:
        """Return the addresses of the processes that serve it, as the server knows by now."""
        found = self._serving(address)
        if not found:
            await self._link.client()
            await self._link.settle()
            found = self._serving(address)
        return found

    def forget(self, membership: Membership) -> None:
        """Tell of it no more."""
        if membership in self._members:
            self._members.remove(membership)

    def hear(self, presence: Any) -> None:
        """Take in a presence of one of the account's resources; others are people."""
        jid = str(presence["from"])
        if presence["from"].bare != self._link.settings.account:
            return
        here = stanza.here_of(presence.xml.find(f"{{{stanza.OWN}}}here"))
        if presence["type"] == "unavailable":
            self._changed(self._here.pop(jid, stanza.Here()), stanza.Here())
            if jid != self._link.jid:
                self.on_gone(jid)
        elif here is not None:
            before = self._here.get(jid, stanza.Here())
            self._here[jid] = here
            self._changed(before, here)

    def _changed(self, before: stanza.Here, after: stanza.Here) -> None:
        left = {sign.id for sign in before.signs} - {sign.id for sign in after.signs}
        gone = [replace(sign, left=True) for sign in before.signs if sign.id in left]
        for sign in (*gone, *after.signs):
            for watch in self._watches:
                watch.tell(watch.roster.hear(sign, 0.0))

    def _serving(self, address: str) -> list[str]:
        return [
            jid
            for jid, here in self._here.items()
            if any(_serves(one, address) for one in here.serves)
        ]

    async def _send(self) -> None:
        here = stanza.Here(
            tuple(member.sign for member in self._members), tuple(dict.fromkeys(self.serves))
        )
        self._link.presence(here.status, stanza.here_element(here))
        await asyncio.sleep(0)


def _serves(served: str, asked: str) -> bool:
    return served == asked or ("/" not in asked and served.startswith(asked + "/"))
