"""Who is there: members by connection, and who watches them.

Place:  bus.hub.peer_calls -> [bus.hub.presence]
Rule:   memory alone; a member is gone with its connection, and every watch is told once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergepoint.bus.errors import BusFull
from mergepoint.bus.hub.connection import Connection
from mergepoint.wire.names import address_matches

MEMBERS_MAX = 20_000
WATCHES_MAX = 20_000
JOINED, UPDATED, LEFT = "joined", "updated", "left"

Told = tuple[str, str, Mapping[str, str], float]
"""What happened, to which address, what is told of it, and since when it is there."""


@dataclass(eq=False, slots=True)
class Member:
    """One connection's presence at one address."""

    connection: Connection
    number: int
    address: str
    info: Mapping[str, str]
    since: float


@dataclass
class Presence:
    """Members and watches."""

    _members: dict[tuple[Connection, int], Member] = field(default_factory=dict)
    _watches: dict[tuple[Connection, int], str] = field(default_factory=dict)

    def join(self, member: Member) -> None:
        """Be there."""
        if len(self._members) >= MEMBERS_MAX:
            raise BusFull(f"{MEMBERS_MAX} are present, the most allowed")
        self._members[(member.connection, member.number)] = member
        self._tell(JOINED, member)

    def update(self, connection: Connection, number: int, info: Mapping[str, str]) -> None:
        """Tell something else; nothing to do for who is not there."""
        member = self._members.get((connection, number))
        if member is not None:
            member.info = info
            self._tell(UPDATED, member)

    def leave(self, connection: Connection, number: int) -> None:
        """Be gone."""
        member = self._members.pop((connection, number), None)
        if member is not None:
            self._tell(LEFT, member)

    def watch(self, connection: Connection, number: int, pattern: str) -> None:
        """Be told who is there, then every change."""
        if len(self._watches) >= WATCHES_MAX:
            raise BusFull(f"{WATCHES_MAX} watches are there, the most allowed")
        self._watches[(connection, number)] = pattern
        here = [
            _told(JOINED, member)
            for member in self._members.values()
            if address_matches(pattern, member.address)
        ]
        connection.send({"watch": number, "all": here})

    def unwatch(self, connection: Connection, number: int) -> None:
        """Be told no more."""
        self._watches.pop((connection, number), None)

    def gone(self, connection: Connection) -> None:
        """Forget a connection: everybody it was is gone."""
        for key in [key for key in self._watches if key[0] is connection]:
            del self._watches[key]
        for number in [key[1] for key in self._members if key[0] is connection]:
            self.leave(connection, number)

    def count(self) -> int:
        """Return how many are there."""
        return len(self._members)

    def _tell(self, change: str, member: Member) -> None:
        for (connection, number), pattern in self._watches.items():
            if address_matches(pattern, member.address):
                connection.send({"watch": number, "changes": [_told(change, member)]})


def _told(change: str, member: Member) -> Told:
    return (change, member.address, member.info, member.since)
