"""Requests over PostgreSQL: an inbox for each process, and one answer for each call.

Place:  postgres -> [postgres_requests] -> postgres_link, postgres_topics.sql
Rule:   exactly one outcome; an answer that nobody waits for is dropped.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mergepoint.bus.adapters import postgres_rows as rows
from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.contract import Handler
from mergepoint.bus.errors import (
    BusClosed,
    BusError,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import Message

ANSWER_S = 60.0
"""How long an answer waits for a process that does not fetch it."""
ERROR_CHARACTERS_MAX = 2_000
ASK_SQL = "SELECT mergepoint.ask(%s, %s, %s, %s, %s, %s)"
ANSWER_SQL = "SELECT mergepoint.answer(%s, %s, %s, %s, %s, %s, %s, %s)"
FETCH_SQL = """
WITH mine AS (DELETE FROM mergepoint.inbox WHERE process = %s RETURNING *)
SELECT kind, call, sender, address, expires_at > mergepoint.unix_now(), attributes, data
FROM mine ORDER BY n
"""
SERVE_SQL = """
WITH known AS (
    INSERT INTO mergepoint.address SELECT unnest(%(names)s::text[]) ON CONFLICT DO NOTHING
)
INSERT INTO mergepoint.server (process, address, room) VALUES (%(process)s, %(address)s, %(room)s)
ON CONFLICT (address, process) DO UPDATE SET room = excluded.room
"""


@dataclass(eq=False)
class PostgresServing:
    """See `Serving`."""

    requests: Requests
    address: str
    handler: Handler
    in_hand: set[asyncio.Task[None]]

    async def close(self) -> None:
        """Take no more requests, let those in hand be answered."""
        await self.requests.stop(self)
        while self.in_hand:
            await asyncio.wait(list(self.in_hand))


@dataclass(frozen=True)
class _Asked:
    """Who asked, and which of the addresses served here was chosen."""

    call: str
    sender: int
    address: str


class Requests:
    """What this process asks and serves."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._served: list[PostgresServing] = []
        self._fetching: asyncio.Task[None] | None = None
        self._again = False
        self._closed = False

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """See `Engine.request`."""
        head = rows.head(message, self._link.limits)
        call = uuid.uuid4().hex
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[call] = answer
        try:
            async with asyncio.timeout(timeout_s):
                ((to,),) = await self._link.call(
                    ASK_SQL, (call, self._link.number, address, timeout_s, head, message.data)
                )
                _check(to, address)
                return await answer
        except TimeoutError:
            raise RequestTimeout(
                f"no answer from {address} within {timeout_s:g} s; it may have run"
            ) from None
        finally:
            self._asked.pop(call, None)
            answer.cancel()

    async def serve(self, address: str, handler: Handler) -> PostgresServing:
        """See `Engine.serve`."""
        serving = PostgresServing(self, address, handler, set())
        self._served.append(serving)
        try:
            await self._offer(address)
        except BusError:
            self._served.remove(serving)
            raise
        return serving

    async def stop(self, serving: PostgresServing) -> None:
        """Offer this no more."""
        if serving not in self._served:
            return
        self._served.remove(serving)
        if self._closed:
            return
        if any(one.address == serving.address for one in self._served):
            await self._offer(serving.address)
        else:
            await self._link.call(
                "DELETE FROM mergepoint.server WHERE process = %s AND address = %s",
                (self._link.number, serving.address),
            )

    async def restore(self) -> None:
        """Offer again what the server may have forgotten."""
        for address in {one.address for one in self._served}:
            await self._offer(address)
        self.fetch()

    def fetch(self) -> None:
        """Look into the inbox; while it is being looked into, once more afterwards."""
        self._again = True
        if (self._fetching is None or self._fetching.done()) and not self._closed:
            self._fetching = asyncio.create_task(self._fetch(), name="postgresql inbox")

    def fetch_if_expecting(self) -> None:
        """Look into the inbox though nobody said that there is something in it."""
        if self._asked or self._served:
            self.fetch()

    async def close(self) -> None:
        """Fail what was asked, stop what is being answered."""
        self._closed = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(BusClosed("the bus was closed in this process"))
        tasks = [task for one in self._served for task in one.in_hand]
        if self._fetching is not None:
            tasks.append(self._fetching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _offer(self, address: str) -> None:
        servings = sum(one.address == address for one in self._served)
        await self._link.call(
            SERVE_SQL,
            {
                "names": sorted({address, address.partition("/")[0]}),
                "process": self._link.number,
                "address": address,
                "room": servings * self._link.limits.requests_max,
            },
        )

    async def _fetch(self) -> None:
        while self._again:
            self._again = False
            try:
                found = await self._link.call(FETCH_SQL, (self._link.number,))
            except BusError:
                return  # the next beat or the restored link looks again
            for kind, call, sender, address, timely, attributes, data in found:
                if kind != "request":
                    self._settle(kind, call, attributes, data)
                else:
                    asked = _Asked(call, sender, address)
                    await self._take(asked, rows.message(attributes, data), timely)

    def _settle(self, kind: str, call: str, attributes: Mapping[str, Any], data: bytes) -> None:
        answer = self._asked.get(call)
        if answer is None or answer.done():
            return
        if kind == "answer":
            answer.set_result(rows.message(attributes, data))
        elif kind == "unavailable":
            answer.set_exception(Unavailable(attributes["message"]))
        else:
            answer.set_exception(RemoteError(attributes["message"], remote_code=attributes["code"]))

    async def _take(self, asked: _Asked, message: Message, timely: bool) -> None:
        fitting = [one for one in self._served if one.address == asked.address]
        serving = min(fitting, key=lambda one: len(one.in_hand), default=None)
        if not timely:
            await self._send(asked, "", "{}")
        elif serving is None or len(serving.in_hand) >= self._link.limits.requests_max:
            words = {"message": f"{asked.address} takes no more requests now"}
            await self._send(asked, "unavailable", json.dumps(words))
        else:
            task = asyncio.create_task(self._handle(serving, asked, message))
            serving.in_hand.add(task)
            task.add_done_callback(serving.in_hand.discard)

    async def _handle(self, serving: PostgresServing, asked: _Asked, message: Message) -> None:
        try:
            answer = await serving.handler(message)
            head = rows.head(answer, self._link.limits)
        except Exception as error:
            words = {
                "message": (str(error) or type(error).__name__)[:ERROR_CHARACTERS_MAX],
                "code": error.code if isinstance(error, MergepointError) else "error",
            }
            await self._send(asked, "error", json.dumps(words))
        else:
            await self._send(asked, "answer", head, answer.data)

    async def _send(self, asked: _Asked, kind: str, head: str, data: bytes = b"") -> None:
        to = (self._link.number, asked.address, asked.sender, kind, asked.call)
        try:
            await self._link.call(ANSWER_SQL, (*to, ANSWER_S, head, data))
        except BusError:
            return  # who asked has a deadline, and is told that it may have run


def _check(to: int, address: str) -> None:
    if to == -1:
        raise Unavailable(f"nobody serves {address} now", next="see who is there: presence")
    if to == -2:
        raise NoSuchAddress(f"nobody ever served {address}", next="check the name")
