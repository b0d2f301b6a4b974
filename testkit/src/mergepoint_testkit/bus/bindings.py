"""Named subscriptions: a queue that is fed by topics.

Place:  bus.promise -> [bus.bindings] -> an engine
Rule:   a binding belongs to the site, not to the connection that made it.
"""

from __future__ import annotations

from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import Stand


async def bind(stand: Stand, queue: str, pattern: str) -> None:
    """Feed the queue by the pattern, both given without the test's own prefix."""
    await stand.soon(stand.first.bind(stand.name(queue), stand.name(pattern)))


async def publish(stand: Stand, topic: str, data: bytes) -> None:
    """Publish to a topic, given without the test's own prefix."""
    await stand.soon(stand.first.publish(stand.name(topic), stand.message(data)))


async def all_of(stand: Stand, queue: str, count: int) -> list[bytes]:
    """Take and finish exactly so many; fail when there are more."""
    leases = await stand.take_count(stand.first, stand.name(queue), count)
    await stand.finish(stand.first, *leases)
    await stand.none_left(stand.first, stand.name(queue))
    return [lease.message.data for lease in leases]


@promise("queues", "bind")
async def a_bound_queue_gets_what_is_published(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    await publish(stand, "created", b"1")
    await publish(stand, "created", b"2")
    assert await all_of(stand, "wiki", 2) == [b"1", b"2"]


@promise("queues", "bind")
async def what_was_published_is_taken_as_it_was(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    sent = stand.message(b"1", subject="s", extensions={"mplanguage": "de"})
    await stand.soon(stand.first.publish(stand.name("created"), sent))
    lease = await stand.take(stand.first, stand.name("wiki"))
    assert (lease.message, lease.attempt) == (sent, 1)


@promise("queues", "bind")
async def a_pattern_feeds_a_queue(stand: Stand) -> None:
    await bind(stand, "wiki", "ticket.*")
    for topic in ("ticket.a", "ticket", "ticket.a.b", "ticket.b"):
        await publish(stand, topic, topic.encode())
    assert await all_of(stand, "wiki", 2) == [b"ticket.a", b"ticket.b"]


@promise("queues", "bind")
async def a_final_angle_feeds_a_queue(stand: Stand) -> None:
    await bind(stand, "wiki", "ticket.>")
    for topic in ("ticket.a", "ticket", "ticket.a.b"):
        await publish(stand, topic, topic.encode())
    assert await all_of(stand, "wiki", 2) == [b"ticket.a", b"ticket.a.b"]


@promise("queues", "bind")
async def each_bound_queue_gets_its_own(stand: Stand) -> None:
    for queue in ("wiki", "mail"):
        await bind(stand, queue, "created")
    await publish(stand, "created", b"1")
    for queue in ("wiki", "mail"):
        assert await all_of(stand, queue, 1) == [b"1"]


@promise("queues", "bind")
async def binding_twice_is_binding_once(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    await bind(stand, "wiki", "created")
    await publish(stand, "created", b"1")
    assert await all_of(stand, "wiki", 1) == [b"1"]


@promise("queues", "bind")
async def nothing_published_before_is_in_the_queue(stand: Stand) -> None:
    await publish(stand, "created", b'"early"')
    await bind(stand, "wiki", "created")
    await publish(stand, "created", b"1")
    assert await all_of(stand, "wiki", 1) == [b"1"]


@promise("queues", "bind")
async def an_ended_binding_feeds_no_more_and_leaves_what_is_there(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    await publish(stand, "created", b"1")
    await stand.soon(stand.first.unbind(stand.name("wiki"), stand.name("created")))
    await publish(stand, "created", b"2")
    assert await all_of(stand, "wiki", 1) == [b"1"]


@promise("queues", "bind")
async def ending_a_binding_that_is_not_there_does_nothing(stand: Stand) -> None:
    await stand.soon(stand.first.unbind(stand.name("wiki"), stand.name("created")))


@promise("queues", "bind")
async def a_binding_outlives_who_made_it(stand: Stand) -> None:
    other = await stand.connect()
    await stand.soon(other.bind(stand.name("wiki"), stand.name("created")))
    await stand.soon(other.close())
    await publish(stand, "created", b"1")
    assert await all_of(stand, "wiki", 1) == [b"1"]


@promise("queues", "bind")
async def workers_share_a_bound_queue(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    for number in range(4):
        await publish(stand, "created", b"%d" % number)
    other = await stand.connect()
    leases = [
        await stand.take(engine, stand.name("wiki"))
        for engine in (stand.first, other, stand.first, other)
    ]
    assert sorted(lease.message.data for lease in leases) == [b"0", b"1", b"2", b"3"]


@promise("queues", "bind")
async def a_bound_queue_and_listeners_both_receive(stand: Stand) -> None:
    await bind(stand, "wiki", "created")
    reader = await stand.listen(stand.first, stand.name("created"))
    await publish(stand, "created", b"1")
    await anext(reader)
    assert await all_of(stand, "wiki", 1) == [b"1"]
