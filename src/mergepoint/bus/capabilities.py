"""What an engine can do, as a record that is compared at start and printed in the docs.

Place:  bus.adapters declare [bus.capabilities] -> bus.doorway refuses, tools.capabilities prints
Rule:   pure; an engine that claims something passes the conformance test of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from mergepoint.bus.errors import NotCapable


class Durability(StrEnum):
    """What an accepted message survives."""

    LOSSY = "lossy"
    """Nothing: it is gone with a slow or absent reader."""
    MEMORY = "memory"
    """Other processes, not the engine's own."""
    INTERVAL = "interval"
    """kill -9 of everything; a power cut costs what was accepted within the last interval."""
    DURABLE = "durable"
    """kill -9 of everything, and a power cut."""


class Watching(StrEnum):
    """How the engine knows that a process is gone."""

    NONE = "none"
    HEARTBEAT = "heartbeat"
    CONNECTION = "connection"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What one engine, configured as it is, can do."""

    engine: str
    topics: Durability
    """Of live topics; what a named subscription (`bind`) keeps has the durability of `queues`."""
    queues: Durability | None
    bind: bool
    """Named subscriptions: a queue that is fed by topics."""
    last: bool
    """Last-value topics."""
    delay: bool
    priority: bool
    key_order: bool
    dedupe: bool
    """A message id is accepted once within `dedupe_s`."""
    dead_letters: bool
    browse: bool
    """What waits can be listed without taking it."""
    request: bool
    presence: Watching
    lease: Watching
    """How a dead worker's job comes back before its lease ends; NONE: with the lease alone."""
    message_bytes_max: int


WHO_CAN = {
    "queues": "hub, postgresql, rabbitmq, redis or nats",
    "bind": "hub, postgresql, rabbitmq, redis or nats",
    "last": "hub, postgresql, redis, nats or xmpp",
    "delay": "hub, postgresql, redis or nats",
    "priority": "hub, postgresql or redis",
    "key_order": "hub, postgresql or redis",
    "dedupe": "hub, postgresql, redis or nats",
    "dead_letters": "hub, postgresql, rabbitmq, redis or nats",
    "browse": "hub, postgresql or redis",
    "request": "hub, postgresql, rabbitmq, redis, nats, zeromq or xmpp",
    "presence": "hub, postgresql, rabbitmq, redis, nats, zeromq or xmpp",
}


def demand(capabilities: Capabilities, *names: str) -> None:
    """Raise `NotCapable` naming every missing capability and the engines that have it."""
    missing = [name for name in names if not has(capabilities, name)]
    if missing:
        told = "; ".join(f"{name} (try {WHO_CAN[name]})" for name in missing)
        raise NotCapable(
            f"the bus engine {capabilities.engine} has no {told}", next="mergepoint bus engines"
        )


def refuse_waiting(engine: str) -> NoReturn:
    """Raise `NotCapable` for `Overflow.WAIT` on an engine that cannot slow its publishers down."""
    raise NotCapable(
        f"the bus engine {engine} cannot let publishers wait for a listener",
        next="take overflow=gap, or bind a queue to the topics: it keeps what is not read yet",
    )


def has(capabilities: Capabilities, name: str) -> bool:
    """Tell whether the engine has what `WHO_CAN` lists under `name`."""
    return getattr(capabilities, name) not in (None, False, Watching.NONE)
