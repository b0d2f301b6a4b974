"""What the gateway is told at its start, checked.

Place:  assembly.gateway -> [bus.gateway.settings] -> bus.gateway.run
Rule:   pure; a wrong setting is refused by name before anything is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint.bus.errors import BusRefused
from mergepoint.core.errors import Exit

VARIABLE = "MERGEPOINT_GATEWAY"


class GatewayRefused(BusRefused):
    """The gateway cannot start as it is told to; a restart would not help."""

    code = "gateway.refused"
    exit = Exit.CONFIG


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Every message of `on` goes to `app` as a POST of `post`, as its workers see the path."""

    queue: str
    on: str
    app: str
    post: str
    attempts_max: int
    timeout_s: float
    backoff_s: float
    backoff_s_max: float
    concurrency: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """What every request to the app carries, as the edge would send it."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """A Unix socket to publish on; `user` owns it, empty: whoever runs the gateway."""

    path: Path
    user: str = ""


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """What to deliver and where to listen, and the bounds: name, unit, default."""

    site: str
    snapshot: Path
    """What the edge obeys: it says where the workers are."""
    state_file: Path
    """Which subscriptions there were, so that those which are gone are ended."""
    issuer: str = ""
    """Of identity tokens; empty: the site has no identity."""
    doors: tuple[Door, ...] = ()
    hub: Path = Path()
    hub_doors: tuple[Door, ...] = ()
    """Sockets to the hub for apps that run as another user."""
    token_key: bytes = field(repr=False, default=b"")
    message_bytes_max: int = 1 << 20
    attempts_max: int = 0
    """Of a job whose publisher asks for no other; 0: the engine's own."""
    deliveries: tuple[Delivery, ...] = ()
    connections_max: int = 256
    """Publishers that are connected at a time; one more is answered 503."""
    idle_s: float = 75.0
    """How long a publisher's connection may stay silent."""


def from_document(document: Any) -> GatewaySettings:  # Any: unchecked input
    """Return the settings of `MERGEPOINT_GATEWAY`; raise `GatewayRefused` naming what is wrong."""
    try:
        return GatewaySettings(
            site=str(document["site"]),
            snapshot=Path(document["snapshot"]),
            state_file=Path(document["state_file"]),
            issuer=str(document.get("issuer", "")),
            doors=_doors(document["sockets"]),
            hub=Path(document["hub"]),
            hub_doors=_doors(document["hub_sockets"]),
            token_key=bytes.fromhex(document["token_key"]),
            message_bytes_max=int(document["message_bytes_max"]),
            attempts_max=int(document["attempts_max"]),
            deliveries=tuple(Delivery(**entry) for entry in document["subscriptions"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GatewayRefused(
            f"{VARIABLE} does not describe a gateway: {error!r}", next="mergepoint doctor"
        ) from None


def _doors(written: Any) -> tuple[Door, ...]:  # Any: unchecked input
    return tuple(Door(path=Path(entry["path"]), user=str(entry["user"])) for entry in written)
