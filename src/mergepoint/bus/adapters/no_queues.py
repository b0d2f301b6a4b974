"""What an engine cannot do: refused in the same words, whoever is asked.

Place:  bus.adapters.zeromq, xmpp, nats, rabbitmq -> [no_queues]
Rule:   refused before anything happened, naming the engines that can.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol

from mergepoint.bus.capabilities import Capabilities, demand
from mergepoint.bus.contract import QueueStats
from mergepoint.bus.errors import NotCapable


class Claiming(Protocol):
    """An engine that says what it can do."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        ...


Refusal = Callable[..., Coroutine[Any, Any, Any]]  # Any: stands for calls of several signatures


def refusing(name: str) -> Refusal:
    """Return a method of an engine that refuses with `NotCapable`, whatever it is given."""

    async def refuse(engine: Claiming, *_given: object, **_how: object) -> NoReturn:
        """Refuse."""
        demand(engine.capabilities, name)
        raise NotCapable(f"the bus engine {engine.capabilities.engine} has no {name}")

    return refuse


class NoQueues:
    """Queues, bindings and dead letters of an engine that has none."""

    bind = unbind = refusing("bind")
    put = take = ack = nack = bury = extend = refusing("queues")
    drop = browse = refusing("browse")
    dead = replay = discard = refusing("dead_letters")

    async def queues(self) -> list[QueueStats]:
        """There are none."""
        return []
