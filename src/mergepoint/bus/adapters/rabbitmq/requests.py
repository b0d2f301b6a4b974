"""Requests: a queue for each address that is served, and one for the answers to this process.

Place:  adapters.rabbitmq.engine -> [requests] -> link
Rule:   handed to one server and never again: what comes back from a dead one is not run twice.

An address nobody serves has no queue, and the broker returns what is sent to it. When every
server has its hands full the broker keeps one request waiting and refuses the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import PublishError

from mergepoint.bus.adapters.rabbitmq import carried
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.contract import Handler
from mergepoint.bus.errors import (
    BusError,
    BusFull,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import Message

WAITING_MAX = 1
"""Requests the broker keeps while every server is busy; part of a queue's declaration."""
OUTCOME = "x-mergepoint-outcome"
CODE = "x-mergepoint-code"
NEXT = "x-mergepoint-next"
WORDS = "x-mergepoint-words"


@dataclass(eq=False)
class Served:
    """One address, its handler, and what is in hand."""

    address: str
    handler: Handler
    channel: AbstractChannel | None = None
    consumers: list[tuple[AbstractQueue, str]] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Requests:
    """What one process asks and answers."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._served: list[Served] = []
        self._asked: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}
        self._numbers = itertools.count(1)
        self._replies = f"{link.prefix}answers.{link.owner}"
        link.restored.append(self._restored)

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or raise the one error."""
        number = str(next(self._numbers))
        future: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        asked = carried.outgoing(
            message, correlation_id=number, reply_to=self._replies, expiration=timeout_s
        )
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(address, asked)
                return _answer(await future, address)
        except TimeoutError:
            raise RequestTimeout(
                f"no answer from {address} in {timeout_s:g} s; it may have run"
            ) from None
        finally:
            del self._asked[number]

    async def serve(self, address: str, handler: Handler) -> RabbitmqServing:
        """Answer from now on."""
        self._link.check()
        served = Served(address, handler)
        await self._link.call(self._consume(served))
        self._served.append(served)
        return RabbitmqServing(self, served)

    async def end(self, served: Served) -> None:
        """Take no more; return when what is in hand is answered."""
        if served in self._served:
            self._served.remove(served)
            for queue, tag in served.consumers:
                with contextlib.suppress(BusError):
                    await self._link.call(queue.cancel(tag))
        if served.tasks:
            await asyncio.wait(served.tasks)
        if served.channel is not None:
            with contextlib.suppress(BusError):
                await self._link.call(served.channel.close())

    def cut(self) -> None:
        """Answer nothing any more."""
        for served in self._served:
            for task in served.tasks:
                task.cancel()
        self._served.clear()

    async def _send(self, address: str, asked: Any) -> None:  # Any: aio_pika.Message
        try:
            await self._link.publish("", self._name(address), asked, mandatory=True)
        except PublishError:
            raise NoSuchAddress(f"nobody serves {address}") from None
        except BusFull as error:
            raise Unavailable(
                f"whoever serves {address} takes nothing now: {error.message}"
            ) from None

    async def _restored(self) -> None:
        channel = self._link.channel("live")
        replies = await channel.declare_queue(self._replies, exclusive=True, auto_delete=True)
        await replies.consume(self._came, no_ack=True)
        for served in self._served:
            await self._consume(served)

    async def _consume(self, served: Served) -> None:
        served.channel = channel = await self._link.passing_channel()
        served.consumers.clear()
        await channel.set_qos(prefetch_count=self._link.limits.requests_max)

        async def take(delivery: AbstractIncomingMessage) -> None:
            task = asyncio.create_task(self._handle(served, delivery))
            served.tasks.add(task)
            task.add_done_callback(served.tasks.discard)

        app = served.address.partition("/")[0]
        for address in dict.fromkeys((served.address, app)):
            queue = await channel.declare_queue(
                self._name(address),
                auto_delete=True,
                arguments={"x-max-length": WAITING_MAX, "x-overflow": "reject-publish"},
            )
            served.consumers.append((queue, await queue.consume(take)))

    async def _came(self, delivery: AbstractIncomingMessage) -> None:
        future = self._asked.get(delivery.correlation_id or "")
        if future is not None and not future.done():
            future.set_result(delivery)

    async def _handle(self, served: Served, delivery: AbstractIncomingMessage) -> None:
        own: Mapping[str, str]
        answer = Message(id="answer", source="mergepoint", type="answer")
        if delivery.redelivered:
            own = {OUTCOME: "unknown"}
        else:
            try:
                answer, own = await served.handler(carried.incoming(delivery)), {}
            except Exception as error:  # a doorway: whoever asked is told
                own = _failure(error)
        reply = carried.outgoing(answer, own=own, correlation_id=delivery.correlation_id)
        # An answer that cannot be sent is a timeout for whoever asked, which says so.
        with contextlib.suppress(BusError, PublishError):
            await self._link.publish("", delivery.reply_to or "", reply)
        with contextlib.suppress(BusError):
            await self._link.call(delivery.ack())

    def _name(self, address: str) -> str:
        return f"{self._link.prefix}requests.{address}"


class RabbitmqServing:
    """An address that is being served."""

    def __init__(self, requests: Requests, served: Served) -> None:
        self._requests = requests
        self._served = served

    async def close(self) -> None:
        """Take no more requests, let those in hand be answered."""
        await self._requests.end(self._served)


def _answer(delivery: AbstractIncomingMessage, address: str) -> Message:
    outcome = delivery.headers.get(OUTCOME)
    if outcome == "unknown":
        raise RequestTimeout(f"whoever answered for {address} is gone; it may have run")
    if outcome == "failed":
        raise RemoteError(
            str(delivery.headers.get(WORDS) or ""),
            remote_code=str(delivery.headers.get(CODE) or "error"),
            next=str(delivery.headers.get(NEXT) or ""),
        )
    return carried.incoming(delivery)


def _failure(error: Exception) -> dict[str, str]:
    """Return the headers of a failure."""
    if isinstance(error, MergepointError):
        code = error.remote_code if isinstance(error, RemoteError) else error.code
        return {OUTCOME: "failed", CODE: code, NEXT: error.next, WORDS: error.message}
    return {OUTCOME: "failed", CODE: "error", WORDS: f"{type(error).__name__}: {error}"}
