"""What a server says of itself, and what the bus can promise on it.

Place:  adapters.redis.link asks -> [facts] -> capabilities, or a refusal
Rule:   pure; what the server does not tell is taken at its worst.

Sources: Redis persistence ("appendfsync"), eviction ("maxmemory-policy"), Valkey the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mergepoint.bus.capabilities import Capabilities, Durability, Watching
from mergepoint.bus.errors import BusRefused

VERSION_MIN = (7, 0)
"""Scripts say with flags whether they may run out of memory since 7.0."""


@dataclass(frozen=True)
class Facts:
    """What matters of INFO and CONFIG."""

    version: tuple[int, ...]
    role: str
    cluster: bool
    eviction: str
    appending: bool
    syncing: str
    """`appendfsync`: always, everysec, no; empty where the server does not let us know."""


def read(told: Mapping[str, object], syncing: str) -> Facts:
    """Return the facts of an INFO answer."""
    info = {name: str(value) for name, value in told.items()}
    numbers = info.get("redis_version", "0").split(".")
    return Facts(
        version=tuple(int(number) for number in numbers if number.isdigit()),
        role=info.get("role", ""),
        cluster=info.get("cluster_enabled", "0") == "1",
        eviction=info.get("maxmemory_policy", ""),
        appending=info.get("aof_enabled", "0") == "1",
        syncing=syncing,
    )


def check(facts: Facts, where: str) -> None:
    """Raise `BusRefused` for a server on which a promise would be untrue."""
    if facts.version < VERSION_MIN:
        told = ".".join(map(str, facts.version))
        raise BusRefused(
            f"redis at {where} is {told}; the bus needs {VERSION_MIN[0]}.{VERSION_MIN[1]}"
        )
    if facts.role not in ("master", ""):
        raise BusRefused(
            f"redis at {where} is a replica and takes no writes",
            next="point [bus] url at the primary",
        )
    if facts.cluster:
        raise BusRefused(
            f"redis at {where} is a cluster; one script touches several keys",
            next="use a server without cluster mode, with a replica for failover",
        )
    if facts.eviction.startswith("allkeys"):
        raise BusRefused(
            f"redis at {where} may evict queued messages: maxmemory-policy is {facts.eviction}",
            next="set maxmemory-policy noeviction",
        )


def durability(facts: Facts) -> Durability:
    """Return what an accepted message survives.

    `always` is written and synced before the answer; without it a power cut costs what was
    accepted since the last sync (a second with `everysec`); without an append-only file a crash
    costs everything since the last snapshot.
    """
    if not facts.appending:
        return Durability.MEMORY
    return Durability.DURABLE if facts.syncing == "always" else Durability.INTERVAL


def capabilities(facts: Facts | None, message_bytes_max: int) -> Capabilities:
    """Return the record; before a server was asked, the least it can be."""
    return Capabilities(
        engine="redis",
        topics=Durability.LOSSY,
        queues=durability(facts) if facts else Durability.MEMORY,
        bind=True,
        last=True,
        delay=True,
        priority=True,
        key_order=True,
        dedupe=True,
        dead_letters=True,
        browse=True,
        request=True,
        presence=Watching.HEARTBEAT,
        lease=Watching.HEARTBEAT,
        message_bytes_max=message_bytes_max,
    )
