"""How messages and what is asked of scripts lie in bytes.

Place:  adapters.redis.* -> [carried]
Rule:   pure; data is never decoded, so what is read is what was written, byte for byte.

A message is its CloudEvents attributes as one line of JSON, a newline, and its data: JSON writes
no newline of its own, so the first one ends the attributes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mergepoint.bus.contract import Entry, EntryState, Limits, Put
from mergepoint.wire.envelope import Message, from_attributes, to_attributes

PARTS = {
    EntryState.READY: ("ready", "held"),
    EntryState.DELAYED: ("delayed", "heldlater"),
    EntryState.LEASED: ("leased",),
    EntryState.DEAD: ("dead",),
}
"""The sorted sets that hold what is in a state; `held...` wait for another message of their key."""
STATES = {part: state for state, parts in PARTS.items() for part in parts}


def packed(message: Message) -> bytes:
    """Return a message as bytes."""
    return dumped(to_attributes(message)).encode() + b"\n" + message.data


def unpacked(carried: bytes) -> Message:
    """Return the message of these bytes; raise `EnvelopeInvalid`."""
    head, _, data = carried.partition(b"\n")
    return from_attributes(json.loads(head), data)


def dumped(value: Any) -> str:  # Any: whatever JSON holds
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, at least one for anything above zero."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def bounds(limits: Limits) -> dict[str, int]:
    """Return the limits that scripts keep."""
    return {
        "queue_max": limits.queue_messages_max,
        "dead_max": limits.dead_messages_max,
        "dead_ms": milliseconds(limits.dead_s),
        "dedupe_ms": milliseconds(limits.dedupe_s),
    }


def asked_put(put: Put, limits: Limits) -> dict[str, Any]:  # Any: numbers and texts
    """Return how a message wants to be treated, as scripts read it."""
    return {
        "id": put.message.id,
        "p": put.priority,
        "k": put.key,
        "x": put.attempts_max or limits.attempts_max,
        "e": milliseconds(put.expires_at),
        "d": milliseconds(put.not_before),
    }


def entry(queue: str, told: list[bytes]) -> Entry:
    """Return an entry of what `told` in prelude.lua says."""
    id_, body, part, attempt, due, priority, key, worker, reason, at = told
    return Entry(
        queue=queue,
        message=unpacked(body) if body else Message(id=id_.decode(), source="", type=""),
        state=STATES[part.decode()],
        attempt=int(attempt),
        not_before=int(due) / 1000,
        priority=int(priority),
        key=key.decode(),
        worker=worker.decode(),
        reason=reason.decode(),
        at=int(at) / 1000,
    )


def headed(head: Mapping[str, str], body: bytes) -> bytes:
    """Return what goes into an inbox: a line of JSON, and a packed message or nothing."""
    return dumped(dict(head)).encode() + b"\n" + body


def beheaded(carried: bytes) -> tuple[dict[str, str], bytes]:
    """Return the line and the rest."""
    head, _, body = carried.partition(b"\n")
    return json.loads(head), body
