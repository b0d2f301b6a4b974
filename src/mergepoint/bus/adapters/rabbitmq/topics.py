"""Live topics: a topic exchange, and a queue of its own for every pattern that is listened to.

Place:  adapters.rabbitmq.engine -> [topics] -> link
Rule:   a queue lives as long as its connection; when that ends, every reader gets `Gap(0)`.
"""

from __future__ import annotations

import contextlib
from typing import Any

from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, ExchangeType

from mergepoint.bus.adapters.rabbitmq import carried
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.adapters.rabbitmq.queues import routing_key
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import Gap
from mergepoint.bus.errors import BusError
from mergepoint.wire.envelope import Message


class Topics:
    """The live subscriptions of one process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._subscriptions: list[RabbitmqSubscription] = []
        link.restored.append(self._restored)

    @property
    def exchange(self) -> str:
        """The exchange that everything is published to."""
        return f"{self._link.prefix}topics"

    async def publish(self, topic: str, message: Message) -> None:
        """Return when the broker and every bound queue have it."""
        await self._link.publish(self.exchange, topic, carried.outgoing(message))

    async def subscribe(self, pattern: str) -> RabbitmqSubscription:
        """Return once the queue is bound and consumed."""
        subscription = RabbitmqSubscription(self, pattern, Buffer(self._link.limits))
        await self._link.call(self._consume(subscription))
        self._subscriptions.append(subscription)
        return subscription

    async def remove(self, subscription: RabbitmqSubscription) -> None:
        """End a subscription; its queue goes with it."""
        if subscription not in self._subscriptions:
            return
        self._subscriptions.remove(subscription)
        queue = subscription.queue
        if queue is not None and subscription.generation == self._link.generation:
            with contextlib.suppress(BusError):
                await self._link.call(queue.delete(if_unused=False, if_empty=False))

    def close(self) -> None:
        """End every iteration."""
        for subscription in self._subscriptions:
            subscription.buffer.close()
        self._subscriptions.clear()

    async def _restored(self) -> None:
        await self._link.control(
            lambda channel: channel.declare_exchange(
                self.exchange, ExchangeType.TOPIC, durable=True
            )
        )
        for subscription in self._subscriptions:
            subscription.buffer.gap(0)
            await self._consume(subscription)

    async def _consume(self, subscription: RabbitmqSubscription) -> None:
        channel = self._link.channel("live")
        queue: AbstractQueue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(self.exchange, routing_key(subscription.pattern))
        await queue.consume(subscription.take, no_ack=True)
        subscription.queue, subscription.generation = queue, self._link.generation


class RabbitmqSubscription:
    """Messages of one pattern for one reader."""

    def __init__(self, topics: Topics, pattern: str, buffer: Buffer) -> None:
        self.pattern = pattern
        self.buffer = buffer
        self.queue: AbstractQueue | None = None
        self.generation = 0
        self._topics = topics

    async def take(self, delivery: AbstractIncomingMessage) -> Any:  # Any: nobody looks at it
        """Offer what the broker delivered."""
        self.buffer.offer(carried.incoming(delivery))

    def __aiter__(self) -> RabbitmqSubscription:
        return self

    async def __anext__(self) -> Message | Gap:
        return await anext(self.buffer)

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.buffer.close()
        await self._topics.remove(self)
