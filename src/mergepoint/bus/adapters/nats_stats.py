"""How the queues of a site stand on JetStream.

Place:  bus.adapters.nats -> [nats_stats] -> nats_link
Rule:   None where the server cannot count; it knows what was delivered, not why it is not back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mergepoint.bus.adapters.nats_link import ApiFault, Link
from mergepoint.bus.adapters.nats_pull import Feed
from mergepoint.bus.adapters.nats_queues import Queues
from mergepoint.bus.contract import QueueStats
from mergepoint.core.clock import Clock


async def queue_stats(link: Link, queues: Queues, clock: Clock) -> list[QueueStats]:
    """Return every queue that has a stream or a binding, by name."""
    try:
        own = await _streams(link)
        bound = await queues.bindings.all()
        dead = await queues.leases.dead.counts()
        found = []
        for name in sorted({*own, *bound}):
            waiting = [await _waiting(link, feed) for feed in bound.get(name, [])]
            if name in own:
                feed = Feed(name, link.names.queue_stream(name), "work", "own")
                waiting.append(await _waiting(link, feed))
            state = own.get(name, {})
            found.append(_stats(name, state, sum(waiting), dead.get(name, 0), clock.unix_s()))
    except ApiFault as fault:
        raise fault.told() from None
    return found


async def _streams(link: Link) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    offset, total = 0, 1
    while offset < total:
        page = await link.api("STREAM.LIST", offset=offset)
        infos, total = page["streams"] or [], int(page["total"])
        offset += len(infos) or total
        for info in infos:
            if (name := link.names.queue_of(info["config"]["name"])) is not None:
                found[name] = info["state"]
    return found


async def _waiting(link: Link, feed: Feed) -> int:
    """Return what a consumer never delivered yet."""
    try:
        info = await link.api(f"CONSUMER.INFO.{feed.stream}.{feed.consumer}")
    except ApiFault:
        # A queue that was put to and never taken from has no consumer: all of it waits.
        return int((await link.api(f"STREAM.INFO.{feed.stream}"))["state"]["messages"])
    return int(info["num_pending"])


def _stats(name: str, state: Mapping[str, Any], ready: int, dead: int, now: float) -> QueueStats:
    oldest = _unix(state["first_ts"]) if state.get("messages") else None
    return QueueStats(
        name=name,
        ready=ready,
        dead=dead,
        oldest_s=max(0.0, now - oldest) if oldest else None,
        bytes=int(state["bytes"]) if state else None,
    )


def _unix(text: str) -> float:
    """Read RFC 3339; the server writes up to nine digits, Python reads six."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{(fraction + '000000')[:6]}+00:00").timestamp()
