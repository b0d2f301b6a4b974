"""Calls about topics: publish, subscribe, bind, last.

Place:  bus.hub.server -> [bus.hub.topic_calls] -> bus.hub.topics, bus.hub.groups
Rule:   what nothing has to be kept of never waits for the disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from mergepoint.bus.errors import BusFull, BusRefused, MessageTooLarge
from mergepoint.bus.hub import fields
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.fields import Head
from mergepoint.bus.hub.inside import Inside
from mergepoint.bus.hub.queue_calls import Answer, Op
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.topics import Topics
from mergepoint.wire.names import check_pattern


def ops(store: Store, topics: Topics) -> dict[str, Op]:
    """Return the operations on topics that a transaction may hold."""

    def publish(inside: Inside, head: Head, rest: bytes) -> Answer:
        topic, attributes, data = published(store, head, rest)
        keep = head.get("keep") is True
        inside.publish_bytes(topic, fields.text(head, "id"), attributes, data, keep=keep)
        return Answer()

    def last(_inside: Inside, head: Head, _rest: bytes) -> Answer:
        return Answer(None, store.present.last(fields.named(head, "topic")) or ())

    def bind(_inside: Inside, head: Head, _rest: bytes) -> Answer:
        queue = store.parts.queues.make(fields.named(head, "queue"))
        store.present.bind(queue, fields.named(head, "pattern", check_pattern))
        return Answer()

    def unbind(_inside: Inside, head: Head, _rest: bytes) -> Answer:
        queue = store.parts.queues.named(fields.named(head, "queue"))
        if queue is not None:
            store.present.unbind(queue, fields.named(head, "pattern", check_pattern))
        return Answer()

    def listed(_inside: Inside, _head: Head, _rest: bytes) -> Answer:
        return Answer(_topics(store, topics))

    return {
        "publish": Op(publish, grows=True, apart=True),
        "last": Op(last, synced=False),
        "bind": Op(bind, grows=True, apart=True),
        "unbind": Op(unbind),
        "topics": Op(listed, synced=False),
    }


def published(store: Store, head: Head, rest: bytes) -> tuple[str, bytes, bytes]:
    """Return topic, attributes and data of a publish."""
    topic = fields.named(head, "topic")
    attributes, data = fields.message(head, rest)
    most = store.parts.limits.message_bytes_max
    if len(data) > most:
        raise MessageTooLarge(f"a message of {len(data)} bytes; at most {most}")
    return topic, attributes, data


def subscribe(
    topics: Topics, call: Call, subscriptions_max: int, values: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Let a connection listen, to these values first."""
    if call.head.get("overflow", "gap") != "gap":
        raise BusRefused("call subscribe: overflow wait; the hub drops and says how many: gap")
    if topics.count() >= subscriptions_max:
        raise BusFull(f"{subscriptions_max} subscriptions are there, the most allowed")
    number = fields.whole(call.head, "sub", None, 2**31)
    pattern = fields.named(call.head, "pattern", check_pattern)
    listener = topics.subscribe(call.connection, number, pattern)
    call.ok()
    for value in values:
        topics.offer(listener, value)


def _topics(store: Store, topics: Topics) -> list[dict[str, object]]:
    present = store.present.topics
    listened = {
        pattern for pattern in topics.patterns() if "*" not in pattern and ">" not in pattern
    }
    return [
        {
            "name": name,
            "published": topics.published.get(name),
            "subscribers": len(topics.listeners(name)),
            "last": name in present,
        }
        for name in sorted(present | set(topics.published) | listened)
    ]
