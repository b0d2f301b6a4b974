"""What a RabbitMQ with quorum queues can do.

Place:  adapters.rabbitmq -> [claims] -> bus.doorway
Rule:   pure; what the broker cannot do is not claimed, the hub does it.

Sources: rabbitmq.com/docs/quorum-queues (3.10: no priorities), /confirms, /ttl.
"""

from __future__ import annotations

from mergepoint.bus.capabilities import Capabilities, Durability, Watching, demand
from mergepoint.bus.contract import Put

PRIORITY = 4
"""What a message has that asks for none."""


def capabilities(message_bytes_max: int) -> Capabilities:
    """Return the record; it is the same for every broker that runs quorum queues."""
    return Capabilities(
        engine="rabbitmq",
        topics=Durability.LOSSY,
        queues=Durability.DURABLE,
        bind=True,
        last=False,
        delay=False,
        priority=False,
        key_order=False,
        dedupe=False,
        dead_letters=True,
        browse=False,
        request=True,
        presence=Watching.HEARTBEAT,
        lease=Watching.CONNECTION,
        message_bytes_max=message_bytes_max,
    )


def check(put: Put, claims: Capabilities, now: float) -> None:
    """Raise `NotCapable` for a message that wants more than the broker has."""
    if put.not_before > now:
        demand(claims, "delay")
    if put.priority != PRIORITY:
        demand(claims, "priority")
    if put.key:
        demand(claims, "key_order")
