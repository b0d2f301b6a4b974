"""What a hub is told at its start, checked.

Place:  bus.hub.__main__, assembly -> [bus.hub.settings] -> bus.hub.serve
Rule:   pure; a wrong setting is refused by name before anything is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mergepoint.bus.contract import Limits
from mergepoint.bus.errors import BusRefused
from mergepoint.core.errors import Exit


class HubRefused(BusRefused):
    """The hub cannot start as it is told to, or on this file; a restart would not help."""

    code = "hub.refused"
    exit = Exit.CONFIG


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """Where a hub keeps and listens, and its bounds: name, unit, default."""

    state_dir: Path
    """`bus.db` and what belongs to it; made with mode 0700 when it is missing."""
    socket: Path
    """The Unix socket, mode 0600."""
    site: str = ""
    """Named to clients; a client that names another site is refused."""
    durability: str = "durable"
    """`durable` syncs each group; `fast` survives kill -9, not a power cut."""
    listen: str = ""
    """`host:port` for TCP with TLS; empty: none."""
    certificate: str = ""
    key: str = ""
    token_file: str = ""
    """What a TCP client must know; the file is read once, at the start."""
    limits: Limits = field(default_factory=Limits)
    connections_max: int = 4096
    calls_max: int = 4096
    """Calls of one connection that wait for their answer; no more is read until there is room."""
    outgoing_bytes_max: int = 16 * 1024 * 1024
    """What waits for one connection to read; past it nothing more is read from it."""
    stalled_s: float = 30.0
    """A connection that took nothing of what waits for it for so long is closed."""
    queues_max: int = 10_000
    topics_max: int = 100_000
    """Topics whose present value is kept, and that are counted."""
    subscriptions_max: int = 100_000
    ballast_bytes: int = 8 * 1024 * 1024
    """Kept free on the disk, so that work can be finished when it is full. A quarter of it is what
    may be written between two checkpoints."""
    gone_s: float = 0.25
    """How long a job waits for its worker to come back when a connection ended: a client that lives
    does so at once, over another. 0: not at all."""
    orphan_s: float = 5.0
    """After a restart: how long a job waits for the worker that had it."""
    crash_at: str = ""
    """Tests alone: `name` or `name:n`; dies the n-th time it passes there (`bus.hub.crash`)."""


def from_document(document: Mapping[str, Any]) -> HubSettings:
    """Return the settings of a JSON object; raise `HubRefused` naming the wrong field.

    Keys are the fields of `HubSettings`; `limits` is an object of the fields of `Limits`.
    """
    if not isinstance(document, Mapping):
        raise HubRefused("the hub's settings are no JSON object")
    limits = _checked("limits", document.get("limits", {}), Limits, ())
    given = {name: value for name, value in document.items() if name != "limits"}
    settings = _checked("settings", given, HubSettings, ("state_dir", "socket"))
    settings["limits"] = Limits(**limits)
    for name in ("state_dir", "socket"):
        settings[name] = Path(settings[name])
    return _consistent(HubSettings(**settings))


def _checked(
    where: str, given: Any, form: type, required: tuple[str, ...]
) -> dict[str, Any]:  # Any: unchecked input
    if not isinstance(given, Mapping):
        raise HubRefused(f"{where} of the hub is no JSON object")
    known = {entry.name: str(entry.type) for entry in fields(form)}
    for name in required:
        if not given.get(name):
            raise HubRefused(f"the hub was not told its {name}")
    for name, value in given.items():
        if name not in known:
            raise HubRefused(f"{where}: {name} is unknown", next=f"known: {', '.join(known)}")
        if not _fits(known[name], value):
            raise HubRefused(
                f"{where}: {name} is {value!r}; it takes {known[name]}",
                next="correct what starts the hub",
            )
    return dict(given)


def _fits(kind: str, value: object) -> bool:
    if kind in ("str", "Path"):
        return isinstance(value, str)
    # bool is an int to Python; nothing here is a switch.
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return False
    return kind == "float" or isinstance(value, int)


def _consistent(settings: HubSettings) -> HubSettings:
    if settings.durability not in ("durable", "fast"):
        raise HubRefused(
            f"durability {settings.durability!r}", next="durability is durable or fast"
        )
    if settings.limits.heartbeat_s < 0.05 or settings.limits.lease_s < 0.1:
        raise HubRefused(
            f"heartbeat_s {settings.limits.heartbeat_s} and lease_s {settings.limits.lease_s}",
            next="heartbeat_s is at least 0.05 and lease_s at least 0.1",
        )
    if settings.listen:
        missing = [n for n in ("certificate", "key", "token_file") if not getattr(settings, n)]
        if missing:
            raise HubRefused(
                f"listen = {settings.listen!r} needs {', '.join(missing)}",
                next="name the files, or listen on the socket alone",
            )
    return settings
