"""Who asks for something, from where: what the audit log writes down.

Place:  pages, edge_calls, cli -> [accounts.caller] -> service, store.unit
Rule:   one per request; carries back the position of the feed that the request's writes reached.
"""

from __future__ import annotations

from dataclasses import dataclass

ADDRESS_MAX = 64
AGENT_MAX = 256
REQUEST_ID_MAX = 64


@dataclass(slots=True)
class Caller:
    """The one who acts; all empty: nobody known.

    `position` is where the revocations this caller caused stand in the feed, 0 for none: an answer
    that must not arrive before every edge knows carries it as ``Mergepoint-Feed``.
    """

    sub: str = ""
    """The subject proven by the request; empty before a login."""
    user: str = ""
    address: str = ""
    agent: str = ""
    request_id: str = ""
    secure: bool = False
    """Whether the browser's connection is TLS: decides the names of cookies."""
    position: int = 0

    def __post_init__(self) -> None:
        self.address = _storable(self.address[:ADDRESS_MAX])
        self.agent = _storable(self.agent[:AGENT_MAX])
        self.request_id = _storable(self.request_id[:REQUEST_ID_MAX])


def console(user: str) -> Caller:
    """Return the caller of a command typed on this machine by the system's user `user`."""
    return Caller(user=f"({user[:48]}, command line)", agent="mergepoint")


def _storable(text: str) -> str:
    """Return text every database takes: no zero bytes, no lone surrogates."""
    return "".join(c if c.isprintable() else "?" for c in text)
