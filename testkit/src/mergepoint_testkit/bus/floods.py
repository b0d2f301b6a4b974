"""Floods: more than a listener can take, and every loss is told (G11).

Place:  bus.promise -> [bus.floods] -> an engine
Rule:   received plus the sum of the gaps is what was sent, to the last message.
"""

from __future__ import annotations

import asyncio
import random

from mergepoint.bus.contract import Engine, Gap
from mergepoint_testkit.bus.promise import promise
from mergepoint_testkit.bus.stand import Stand

SEED = 20261121
PUBLISHERS = 2


async def flood(stand: Stand, engine: Engine, publisher: int, count: int) -> None:
    """Publish as fast as the engine accepts, numbered."""
    for number in range(count):
        data = b"%d.%d" % (publisher, number)
        await engine.publish(stand.name("flood"), stand.message(data))


@promise(buffer_messages_max=50)
async def every_loss_of_a_slow_reader_is_told(stand: Stand) -> None:
    """A reader that pauses at random loses much; it knows how much."""
    chance = random.Random(SEED)
    sent = PUBLISHERS * stand.source.flood_messages
    slow = await stand.connect()
    subscription = await stand.soon(slow.subscribe(stand.name("flood")))
    engines = [await stand.connect() for _ in range(PUBLISHERS)]
    flooding = [
        asyncio.create_task(flood(stand, engine, number, stand.source.flood_messages))
        for number, engine in enumerate(engines)
    ]
    received, lost, last = 0, 0, [-1] * PUBLISHERS
    iterator = aiter(subscription)
    while received + lost < sent:
        async with stand.patience():
            item = await anext(iterator)
        if isinstance(item, Gap):
            assert item.lost > 0
            lost += item.lost
        else:
            publisher, number = map(int, item.data.split(b"."))
            assert number > last[publisher], "out of order, or twice"
            last[publisher] = number
            received += 1
        if chance.random() < 0.05:
            await stand.passing(0.02)
    assert received + lost == sent
    await asyncio.gather(*flooding)


@promise()
async def a_reader_that_keeps_up_loses_nothing(stand: Stand) -> None:
    count = stand.source.flood_messages
    reader = await stand.listen(await stand.connect(), stand.name("flood"))
    for first in range(0, count, 100):
        for number in range(first, min(first + 100, count)):
            await stand.first.publish(stand.name("flood"), stand.message(b"%d" % number))
        got = await reader.many(min(100, count - first))
        assert not [item for item in got if isinstance(item, Gap)]
