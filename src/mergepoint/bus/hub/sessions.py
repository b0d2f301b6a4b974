"""Who is connected: a client keeps its session when it comes back over another connection.

Place:  bus.hub.hub -> [bus.hub.sessions]
Rule:   memory alone; one session has one connection, and a job belongs to a session.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from mergepoint.bus.hub.connection import Connection
from mergepoint.bus.hub.work import TakeWork


@dataclass(eq=False)
class Session:
    """One client."""

    id: str
    address: str
    connection: Connection
    takers: dict[int, TakeWork] = field(default_factory=dict)
    """Its calls that wait for jobs, by their number."""


class Sessions:
    """Every session that has a connection."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def begin(self, connection: Connection, client: str, address: str) -> tuple[Session, bool]:
        """Return the session of a client, and whether it had another connection until now."""
        session = self._by_id.get(client) if client else None
        if session is None:
            session = Session(client or secrets.token_hex(16), address, connection)
            self._by_id[session.id] = session
            connection.session = session
            return session, False
        session.connection.session = None
        session.connection = connection
        connection.session = session
        return session, True

    def connection_of(self, client: str) -> Connection | None:
        """Return the connection a client has now."""
        session = self._by_id.get(client)
        return None if session is None else session.connection

    def end(self, session: Session) -> None:
        """Forget it."""
        self._by_id.pop(session.id, None)

    def addresses(self) -> list[str]:
        """Return what clients call themselves."""
        return sorted(session.address for session in self._by_id.values())
