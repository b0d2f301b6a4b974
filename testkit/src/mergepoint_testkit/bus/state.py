"""The life of a connection, and what an engine says of itself.

Place:  bus.promise -> [bus.state] -> an engine
Rule:   needs no capability: every engine keeps these.
"""

from __future__ import annotations

import asyncio

import pytest

from mergepoint.bus.capabilities import WHO_CAN, Watching, has
from mergepoint.bus.contract import State
from mergepoint.bus.errors import BusClosed
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.refusals import refuse
from mergepoint_testkit.bus.stand import LONG_S, Stand


@promise()
async def an_opened_engine_is_connected(stand: Stand) -> None:
    assert stand.states[id(stand.first)][-1] is State.CONNECTED


@promise()
async def a_closed_engine_says_so(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(engine.close())
    assert stand.states[id(engine)][-1] is State.CLOSED


@promise()
async def closing_twice_does_nothing(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(engine.close())
    await stand.soon(engine.close())
    assert stand.states[id(engine)].count(State.CLOSED) == 1


@promise()
async def a_closed_engine_refuses_calls(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(engine.close())
    with pytest.raises(BusClosed):
        await stand.soon(engine.publish(stand.name("a"), stand.message()))
    with pytest.raises(BusClosed):
        await stand.soon(engine.subscribe(stand.name("a")))


@promise("queues")
async def a_closed_engine_refuses_queues(stand: Stand) -> None:
    engine = await stand.connect()
    await stand.soon(engine.close())
    with pytest.raises(BusClosed):
        await stand.put(engine, stand.name("a"), b"1")
    with pytest.raises(BusClosed):
        await stand.take(engine, stand.name("a"))


@promise()
async def closing_ends_every_subscription(stand: Stand) -> None:
    engine = await stand.connect()
    reader = await stand.listen(engine, stand.name("a"))
    await stand.soon(engine.close())
    await reader.end()


@promise("queues")
async def closing_ends_every_wait(stand: Stand) -> None:
    engine = await stand.connect()
    waiting = asyncio.create_task(
        engine.take([stand.name("a")], worker="w", limit=1, lease_s=LONG_S, wait_s=1000 * LONG_S)
    )
    await asyncio.sleep(0)
    await stand.soon(engine.close())
    async with stand.patience():
        outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert outcome == [] or isinstance(outcome, BusClosed)


@promise()
async def closing_one_connection_leaves_the_others(stand: Stand) -> None:
    engine = await stand.connect()
    reader = await stand.listen(stand.first, stand.name("a"))
    await stand.soon(engine.close())
    await stand.soon(stand.first.publish(stand.name("a"), stand.message(b"1")))
    await anext(reader)


@promise()
async def capabilities_are_the_same_for_every_connection(stand: Stand) -> None:
    other = await stand.connect()
    assert other.capabilities == stand.first.capabilities
    assert other.capabilities.engine
    assert other.capabilities.message_bytes_max > 0


@promise()
async def what_rests_on_queues_is_claimed_with_them(stand: Stand) -> None:
    claims = stand.first.capabilities
    if claims.queues is None:
        for name in ("bind", "delay", "priority", "key_order", "dedupe", "dead_letters"):
            assert not has(claims, name), name
        assert claims.lease is Watching.NONE


@promise()
async def what_is_lacking_is_refused(stand: Stand) -> None:
    for name in WHO_CAN:
        if not has(stand.first.capabilities, name):
            await refuse(stand, stand.first, name)


@promise()
async def topics_are_listed_or_nothing_is_said(stand: Stand) -> None:
    await stand.listen(stand.first, stand.name("a"))
    await stand.soon(stand.first.publish(stand.name("a"), stand.message()))
    names = [one.name for one in await stand.soon(stand.first.topics())]
    assert names == sorted(names)
    assert names.count(stand.name("a")) <= 1
