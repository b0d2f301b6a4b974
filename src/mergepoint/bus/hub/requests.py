"""Requests on their way: who serves what, who asked what.

Place:  bus.hub.peer_calls -> [bus.hub.requests]
Rule:   memory alone; a request has one outcome, and what comes after it goes nowhere.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from mergepoint.bus.errors import BusError, NoSuchAddress, RequestTimeout, Unavailable
from mergepoint.bus.hub.connection import Connection

ADDRESSES_MAX = 100_000
"""Addresses that are remembered to have been served."""


@dataclass(eq=False, slots=True)
class Server:
    """One connection that serves one address."""

    connection: Connection
    address: str
    in_hand: int = 0
    taking: bool = True


@dataclass(eq=False, slots=True)
class Asked:
    """A request that was handed to a server; `asker` is None when nobody waits any more."""

    number: int
    server: Server
    asker: Connection | None
    call: int
    until_s: float


@dataclass
class Requests:
    """Servers by app, and requests in hand."""

    requests_max: int
    _apps: dict[str, list[Server]] = field(default_factory=dict)
    _served: set[str] = field(default_factory=set)
    _asked: dict[int, Asked] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def serve(self, connection: Connection, address: str) -> None:
        """Let a connection answer requests to an address; a second time does nothing."""
        app = address.partition("/")[0]
        servers = self._apps.setdefault(app, [])
        if any(one.connection is connection and one.address == address for one in servers):
            return
        servers.append(Server(connection, address))
        if len(self._served) < ADDRESSES_MAX:
            self._served.add(app)

    def unserve(self, connection: Connection, address: str) -> None:
        """Hand it no more of them; what it has it may answer."""
        app = address.partition("/")[0]
        for server in self._apps.get(app, []):
            if server.connection is connection and server.address == address:
                server.taking = False
        self._sweep(app)

    def ask(self, asker: Connection, call: int, address: str, until_s: float) -> Asked:
        """Choose who answers; raise `NoSuchAddress` or `Unavailable`."""
        app = address.partition("/")[0]
        servers = [
            one for one in self._apps.get(app, ()) if address in (app, one.address) and one.taking
        ]
        if not servers:
            if address == app and app in self._served:
                raise Unavailable(f"nobody serves {address} now", next="mergepoint presences")
            raise NoSuchAddress(f"nobody serves {address}", next="mergepoint presences")
        server = min(servers, key=lambda one: one.in_hand)
        if server.in_hand >= self.requests_max:
            raise Unavailable(
                f"{address}: each of its {len(servers)} servers has {self.requests_max} requests",
                next="ask later, or let more instances serve it",
            )
        # The next of those with equally few has its turn next time.
        mine = self._apps[app]
        mine.remove(server)
        mine.append(server)
        server.in_hand += 1
        asked = Asked(next(self._numbers), server, asker, call, until_s)
        self._asked[asked.number] = asked
        return asked

    def answered(self, connection: Connection, number: int) -> Asked | None:
        """Take an answer; return whose it is, None when it is nobody's any more."""
        asked = self._asked.get(number)
        if asked is None or asked.server.connection is not connection:
            return None
        del self._asked[number]
        asked.server.in_hand -= 1
        return asked if asked.asker is not None else None

    def gone(self, connection: Connection) -> list[tuple[Asked, BusError]]:
        """Forget a connection; return requests that it will not answer, and what to say."""
        for app, servers in list(self._apps.items()):
            kept = [one for one in servers if one.connection is not connection]
            if len(kept) < len(servers):
                self._apps[app] = kept
                self._sweep(app)
        ended: list[tuple[Asked, BusError]] = []
        for asked in list(self._asked.values()):
            if asked.asker is connection:
                asked.asker = None
            if asked.server.connection is connection:
                del self._asked[asked.number]
                if asked.asker is not None:
                    ended.append((asked, RequestTimeout(_GONE)))
        return ended

    def overdue(self, now_s: float) -> list[Asked]:
        """Return requests whose time is over; their late answers go nowhere."""
        return [a for a in self._asked.values() if a.asker is not None and a.until_s <= now_s]

    def servers(self) -> list[str]:
        """Return every address that is served now."""
        return sorted({s.address for mine in self._apps.values() for s in mine if s.taking})

    def _sweep(self, app: str) -> None:
        kept = [one for one in self._apps.get(app, ()) if one.taking]
        if kept:
            self._apps[app] = kept
        else:
            self._apps.pop(app, None)


_GONE = "whoever had the request is gone; it may have run"
