"""Where a hub is: `hub+unix:///run/acme/hub.sock` or `hub+tls://host:7400?token_file=...&ca=...`.

Place:  bus.adapters.hub_link -> [bus.adapters.hub_url]
Rule:   pure but for the two files it is named; a token never stands in an address or a message.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from mergepoint.bus.errors import BusRefused

PORT = 7400


@dataclass(frozen=True, kw_only=True)
class HubPlace:
    """A Unix socket, or a host with TLS."""

    path: str = ""
    host: str = ""
    port: int = PORT
    token_file: str = ""
    """What a TCP client must know."""
    ca: str = ""
    """Whom to trust besides the system's authorities: a file of certificates."""

    def token(self) -> str:
        """Return the token; raise `BusRefused` when the file cannot be read."""
        if not self.token_file:
            return ""
        try:
            return Path(self.token_file).read_text().strip()
        except OSError as error:
            raise BusRefused(f"token_file {self.token_file}: {error.strerror}") from None

    def tls(self) -> ssl.SSLContext | None:
        """Return how to trust the other side; None for a Unix socket."""
        if self.path:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise BusRefused(f"ca {self.ca}: {error}") from None


def parse(url: str) -> HubPlace:
    """Return the place; raise `BusRefused` for any other address."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError as error:
        raise BusRefused(f"bus address {url!r}: {error}") from None
    if parts.scheme == "hub+unix" and parts.path:
        return HubPlace(path=unquote(parts.path))
    if parts.scheme == "hub+tls" and parts.hostname:
        query = dict(parse_qsl(parts.query))
        unknown = set(query) - {"token_file", "ca"}
        if unknown:
            raise BusRefused(f"bus address {url!r}: {sorted(unknown)[0]} is unknown")
        return HubPlace(host=parts.hostname, port=port, **query)
    raise BusRefused(
        f"bus address {url!r} is no hub's", next="hub+unix:///path or hub+tls://host:port"
    )
