"""Pulling from several consumers at once, and giving back what nobody wanted any more.

Place:  bus.adapters.nats_queues -> [nats_pull] -> nats_link
Rule:   one inbox for each call; when it is closed, no message is on its way to it any longer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from mergepoint.bus.adapters.nats_link import Link
from mergepoint.bus.adapters.nats_wire import NANOSECONDS
from mergepoint.bus.errors import BusLost

SLACK_S = 1.0
"""How long a server may be silent behind the end of a pull before its consumer counts as deaf."""
DEAF = {"409", "503"}
"""Statuses of a consumer that is gone: deleted, or its stream is."""


@dataclass(frozen=True)
class Feed:
    """A consumer that feeds a queue."""

    queue: str
    stream: str
    consumer: str
    tag: str
    """`own`, or the hash of a binding's pattern."""


class Pull:
    """Messages of some feeds, asked for once or waited for."""

    def __init__(self, link: Link, feeds: Sequence[Feed]) -> None:
        self._link = link
        self._feeds = feeds
        self._came: asyncio.Queue[tuple[Feed, Msg] | None] = asyncio.Queue()
        """None: the connection is lost, or whoever waits shall wait no more."""
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._open = 0
        self.deaf: set[Feed] = set()
        """Consumers that did not answer as one that is there would."""

    async def start(self) -> None:
        """Listen for what will be asked for."""
        client = await self._link.client()
        self._inbox = client.new_inbox()
        self._link.on_lost.add(self.end)
        self._subscription = await client.subscribe(f"{self._inbox}.*", cb=self._on_message)

    async def now(self, limit: int) -> list[tuple[Feed, Msg]]:
        """Return up to `limit` messages that wait already."""
        found: list[tuple[Feed, Msg]] = []
        for number, feed in enumerate(self._feeds):
            if len(found) >= limit:
                break
            batch = limit - len(found)
            await self._ask(number, {"batch": batch, "no_wait": True})
            found += await self._batch(feed, batch)
        return found

    async def soon(self, wait_s: float) -> list[tuple[Feed, Msg]]:
        """Return the first messages that come, [] after `wait_s`; then `stop` tells the rest."""
        for number in range(len(self._feeds)):
            await self._ask(number, {"batch": 1, "expires": int(wait_s * NANOSECONDS)})
        self._open = len(self._feeds)
        try:
            async with asyncio.timeout(wait_s + SLACK_S):
                while self._open:
                    feed, message = await self._next()
                    self._open -= 1
                    if not _is_status(message):
                        return [(feed, message), *self._rest()]
                    if _status(message) in DEAF:
                        self.deaf.add(feed)
        except TimeoutError:
            self.deaf.update(self._feeds)
        return []

    async def stop(self) -> list[tuple[Feed, Msg]]:
        """Listen no more; return what came that nobody took."""
        self._link.on_lost.discard(self.end)
        if self._subscription is None or not self._link.connected:
            return []
        client = await self._link.client()
        if self._open:
            await self._link.leave(client, self._subscription)
        else:
            await self._subscription.unsubscribe()
        return self._rest()

    def _rest(self) -> list[tuple[Feed, Msg]]:
        rest = []
        while not self._came.empty():
            item = self._came.get_nowait()
            self._open -= 1
            if item is not None and not _is_status(item[1]):
                rest.append(item)
        return rest

    async def _next(self) -> tuple[Feed, Msg]:
        item = await self._came.get()
        if item is None:
            self._link.alive()
            raise BusLost(f"nats at {self._link.settings.shown} was lost while waiting")
        return item

    def end(self) -> None:
        """Let whoever waits wait no more."""
        self._came.put_nowait(None)

    async def _batch(self, feed: Feed, count: int) -> list[tuple[Feed, Msg]]:
        found: list[tuple[Feed, Msg]] = []
        try:
            async with asyncio.timeout(self._link.limits.call_s):
                while len(found) < count:
                    _, message = await self._next()
                    if _is_status(message):
                        if _status(message) in DEAF:
                            self.deaf.add(feed)
                        break
                    found.append((feed, message))
        except TimeoutError:
            self.deaf.add(feed)
        return found

    async def _ask(self, number: int, request: dict[str, object]) -> None:
        feed = self._feeds[number]
        client = await self._link.client()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{feed.stream}.{feed.consumer}"
        data = json.dumps(request).encode()
        await client.publish(subject, data, reply=f"{self._inbox}.{number}")

    async def _on_message(self, message: Msg) -> None:
        # A delivery keeps the subject it was stored under, so its feed is known by its reply.
        if _is_status(message):
            feed = self._feeds[int(message.subject.rpartition(".")[2])]
        else:
            words = message.reply.split(".")
            feed = next(one for one in self._feeds if one.stream in words and one.consumer in words)
        self._came.put_nowait((feed, message))


def _is_status(message: Msg) -> bool:
    return not message.reply and "Status" in (message.headers or {})


def _status(message: Msg) -> str:
    return (message.headers or {}).get("Status", "")
