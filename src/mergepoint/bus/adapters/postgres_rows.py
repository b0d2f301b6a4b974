"""Messages as rows and rows as what the contract speaks of.

Place:  adapters.postgres_* -> [postgres_rows] -> wire.envelope
Rule:   pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mergepoint.bus.contract import Entry, EntryState, Lease, Limits, Put, QueueStats
from mergepoint.bus.errors import BusRefused, MessageTooLarge
from mergepoint.wire.envelope import EnvelopeInvalid, Message, from_attributes, to_attributes

LEASE_COLUMNS = "place, token, queue, key, attempt, lease_until, attributes, data"
ENTRY_COLUMNS = (
    "queue, state, attempt, not_before, priority, key, worker, reason, at, attributes, data"
)
STATES: dict[EntryState, tuple[str, ...]] = {
    # Waiting behind another of its key is our own business: for everybody else it is ready.
    EntryState.READY: ("ready", "held"),
    EntryState.DELAYED: ("delayed",),
    EntryState.LEASED: ("leased",),
    EntryState.DEAD: ("dead",),
}
_SHOWN = {text: state for state, texts in STATES.items() for text in texts}


def head(message: Message, limits: Limits) -> str:
    """Return the attributes as JSON; raise `MessageTooLarge` and `BusRefused`."""
    if len(message.data) > limits.message_bytes_max:
        raise MessageTooLarge(
            f"{len(message.data)} bytes of data; this bus takes {limits.message_bytes_max}",
            next="put the data elsewhere and send where it is",
        )
    try:
        text = json.dumps(to_attributes(message), separators=(",", ":"))
    except EnvelopeInvalid as error:
        raise BusRefused(str(error)) from None
    return text


def message(attributes: Mapping[str, Any], data: bytes) -> Message:  # Any: a document of JSON
    """Return the message of a row."""
    return from_attributes(attributes, bytes(data))


def columns(puts: Sequence[Put], limits: Limits) -> tuple[list[Any], ...]:
    """Return the arrays that `mergepoint.put` takes, in its order."""
    return (
        [put.message.id for put in puts],
        [head(put.message, limits) for put in puts],
        [put.message.data for put in puts],
        [put.key for put in puts],
        [put.priority for put in puts],
        [put.not_before for put in puts],
        [put.attempts_max or limits.attempts_max for put in puts],
        [put.expires_at for put in puts],
    )


def lease(row: Sequence[Any]) -> Lease:
    """Return the lease of a row of `LEASE_COLUMNS`."""
    place, token, queue, key, attempt, until, attributes, data = row
    return Lease(
        queue=queue,
        message=message(attributes, data),
        token=str(token),
        attempt=attempt,
        expires_at=until,
        key=key,
        handle=place,
    )


def entry(row: Sequence[Any]) -> Entry:
    """Return the entry of a row of `ENTRY_COLUMNS`."""
    queue, state, attempt, not_before, priority, key, worker, reason, at, attributes, data = row
    return Entry(
        queue=queue,
        message=message(attributes, data),
        state=_SHOWN[state],
        attempt=attempt,
        not_before=not_before,
        priority=priority,
        key=key,
        worker=worker,
        reason=reason,
        at=at,
    )


def stats(row: Sequence[Any]) -> QueueStats:
    """Return the counts of a row of the query in `postgres_queues`."""
    name, ready, delayed, leased, dead, oldest_s, size = row
    return QueueStats(
        name=name,
        ready=ready,
        delayed=delayed,
        leased=leased,
        dead=dead,
        oldest_s=oldest_s,
        bytes=size,
    )
