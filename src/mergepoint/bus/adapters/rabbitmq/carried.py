"""Messages as AMQP 0-9-1 carries them: CloudEvents in headers, data as the body.

Place:  adapters.rabbitmq.* -> [carried]
Rule:   pure; what is ours besides the envelope stands in headers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, DeliveryMode

from mergepoint.bus.contract import Entry, EntryState, Limits, Put
from mergepoint.wire.envelope import EnvelopeInvalid, Message, from_headers, to_headers

SPENT = "x-mergepoint-spent"
"""Attempts that counted before the message was put again."""
ATTEMPTS_MAX = "x-mergepoint-attempts-max"
EXPIRES = "x-mergepoint-expires"
REASON = "x-mergepoint-reason"
DIED = "x-mergepoint-died"
WORKER = "x-mergepoint-worker"
DELIVERIES = "x-delivery-count"
"""The broker's: how often a quorum queue got the message back."""


@dataclass(frozen=True)
class Job:
    """A message of a queue and how it stands."""

    message: Message
    attempt: int
    attempts_max: int
    expires_at: float


def outgoing(
    message: Message, *, own: Mapping[str, Any] | None = None, **properties: Any
) -> aio_pika.Message:
    """Return what is published; Any: AMQP's tables and properties."""
    headers: dict[str, Any] = {**to_headers(message), **(own or {})}
    content_type = headers.pop("content-type", None)
    return aio_pika.Message(
        message.data,
        headers=headers,
        content_type=content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        **properties,
    )


def incoming(delivery: AbstractIncomingMessage) -> Message:
    """Return the message; one that is no CloudEvent gets what the broker knows of it."""
    texts = {name: value for name, value in delivery.headers.items() if isinstance(value, str)}
    if delivery.content_type:
        texts["content-type"] = delivery.content_type
    try:
        return from_headers(texts, delivery.body)
    except EnvelopeInvalid:
        return Message(
            id=delivery.message_id or f"delivery-{delivery.delivery_tag}",
            source=f"amqp:{delivery.exchange or ''}",
            type=delivery.routing_key or "amqp",
            data=delivery.body,
            datacontenttype=delivery.content_type or "application/octet-stream",
        )


def own_headers(put: Put, limits: Limits, *, spent: int = 0) -> dict[str, Any]:
    """Return what we keep with a message of a queue."""
    headers: dict[str, Any] = {ATTEMPTS_MAX: put.attempts_max or limits.attempts_max}
    if put.expires_at:
        headers[EXPIRES] = round(put.expires_at * 1000)
    if spent:
        headers[SPENT] = spent
    return headers


def job(delivery: AbstractIncomingMessage, limits: Limits) -> Job:
    """Return how a delivered message stands."""
    headers = delivery.headers
    return Job(
        message=incoming(delivery),
        attempt=_number(headers, SPENT) + _number(headers, DELIVERIES) + 1,
        attempts_max=_number(headers, ATTEMPTS_MAX) or limits.attempts_max,
        expires_at=_number(headers, EXPIRES) / 1000,
    )


def again(delivery: AbstractIncomingMessage, attempt: int) -> aio_pika.Message:
    """Return the same message, to be put again so that `attempt` does not count."""
    kept = {
        name: value for name, value in delivery.headers.items() if name in (ATTEMPTS_MAX, EXPIRES)
    }
    spent = attempt - 1
    return outgoing(incoming(delivery), own={**kept, **({SPENT: spent} if spent else {})})


def dead(
    delivery: AbstractIncomingMessage, now: float, *, reason: str, worker: str, limits: Limits
) -> aio_pika.Message:
    """Return the dead letter of a delivered message."""
    known = job(delivery, limits)
    own = {
        ATTEMPTS_MAX: known.attempts_max,
        SPENT: known.attempt,
        REASON: reason,
        DIED: round(now * 1000),
        WORKER: worker,
    }
    return outgoing(known.message, own=own, expiration=limits.dead_s)


def entry(queue: str, delivery: AbstractIncomingMessage) -> Entry:
    """Return a dead letter as it is listed; the broker's own say why in `x-death`."""
    headers = delivery.headers
    return Entry(
        queue=queue,
        message=incoming(delivery),
        state=EntryState.DEAD,
        attempt=_number(headers, SPENT),
        reason=str(headers.get(REASON) or headers.get("x-first-death-reason") or "dead"),
        worker=str(headers.get(WORKER) or ""),
        at=_number(headers, DIED) / 1000,
    )


def _number(headers: Mapping[str, Any], name: str) -> int:
    value = headers.get(name)
    return value if isinstance(value, int) else 0
