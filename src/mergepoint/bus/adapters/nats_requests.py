"""Requests on NATS: whoever serves an address shares it, and nobody there is told at once.

Place:  bus.adapters.nats -> [nats_requests] -> nats_link
Rule:   an answer says what became of the request: done, failed, or not taken.
"""

from __future__ import annotations

import asyncio
import base64
import uuid

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as Raw
from nats.errors import NoRespondersError

from mergepoint.bus.adapters.answers import check_answer, failure
from mergepoint.bus.adapters.nats_link import Link
from mergepoint.bus.adapters.nats_wire import decode, encode
from mergepoint.bus.contract import Handler, Limits
from mergepoint.bus.errors import (
    BusLost,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.wire.envelope import Message

GROUP = "mp"
OUTCOME, CODE, WORDS = "mp-outcome", "mp-code", "mp-words"
FAILED, BUSY = "failed", "busy"
ROOM_S = 0.5
"""How long who was refused by one server waits for another one to say that it has room."""


def _failed(error: BaseException) -> dict[str, str]:
    code, words = failure(error)
    return {OUTCOME: FAILED, CODE: code, WORDS: _encoded(words)}


class Serving:
    """One address that is served, over as many connections as it lives."""

    def __init__(self, requests: Requests, address: str, handler: Handler) -> None:
        self._requests = requests
        self._address = address
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._raws: list[Raw] = []
        app = self._address.partition("/")[0]
        # No instance's name has `=` in it.
        self._direct = f"{requests.link.names.request(app)}.={uuid.uuid4().hex[:16]}"

    async def attach(self, client: Client) -> None:
        """Serve on this connection; return when the server knows."""
        link = self._requests.link
        app, _, instance = self._address.partition("/")
        subjects = [link.names.request(app)] + (
            [link.names.request(self._address)] * bool(instance)
        )
        self._raws = [
            await client.subscribe(subject, queue=GROUP, cb=self._on_request)
            for subject in (*subjects, self._direct)
        ]
        room = link.names.room(self._address)
        self._raws.append(await client.subscribe(room, cb=self._on_room))
        await link.settle(client)

    async def close(self) -> None:
        """Take no more; return when what is in hand is answered."""
        self._requests.forget(self)
        link, raws = self._requests.link, self._raws
        self._raws = []
        if raws and link.connected:
            client = await link.client()
            for raw in raws:
                await link.leave(client, raw)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def end(self) -> None:
        """Give up what is in hand."""
        for task in self._tasks:
            task.cancel()

    async def _on_room(self, message: Msg) -> None:
        if len(self._tasks) < self._requests.limits.requests_max:
            await self._requests.answer(message.reply, self._direct.encode(), {})

    async def _on_request(self, message: Msg) -> None:
        if len(self._tasks) >= self._requests.limits.requests_max:
            await self._requests.answer(message.reply, b"", {OUTCOME: BUSY})
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Msg) -> None:
        request = decode(message.headers, message.data, message.subject, 0)
        try:
            answer = await self._handler(request)
            check_answer(answer, self._requests.limits.message_bytes_max)
        except Exception as error:  # a handler's failure belongs to whoever asked
            await self._requests.answer(message.reply, b"", _failed(error))
        else:
            await self._requests.answer(message.reply, answer.data, encode(answer))


class Requests:
    """What this connection asks and serves."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self.link = link
        self.limits = limits
        self._servings: list[Serving] = []

    async def attach(self, client: Client) -> None:
        """Serve again on a new connection."""
        for one in list(self._servings):
            await one.attach(client)

    def end(self) -> None:
        """Give up what is in hand."""
        for one in self._servings:
            one.end()

    def forget(self, serving: Serving) -> None:
        """Attach it no more."""
        if serving in self._servings:
            self._servings.remove(serving)

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        serving = Serving(self, address, handler)
        await self.link.unless_lost(serving.attach(await self.link.client()))
        self._servings.append(serving)
        return serving

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or one error."""
        subject = self.link.names.request(address)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._ask(subject, message, timeout_s)
                if _busy(answer) and "/" not in address:
                    # The server chose one of several blindly: perhaps another one has room.
                    answer = await self._ask(await self._with_room(address), message, timeout_s)
        except NoRespondersError:
            raise NoSuchAddress(f"nobody serves {address}", next="mergepoint presence") from None
        except (TimeoutError, BusLost):
            raise RequestTimeout(
                f"no answer from {address} in {timeout_s:g} s; it may have run"
            ) from None
        return _outcome(address, answer)

    async def _ask(self, subject: str, message: Message, timeout_s: float) -> Msg:
        client = await self.link.client()
        headers = encode(message)
        asking = client.request(subject, message.data, timeout=timeout_s, headers=headers)
        return await self.link.unless_lost(asking)

    async def _with_room(self, address: str) -> str:
        """Return the subject of one server that has room; raise `Unavailable`."""
        client = await self.link.client()
        try:
            asking = client.request(self.link.names.room(address), b"", timeout=ROOM_S)
            return (await self.link.unless_lost(asking)).data.decode()
        except (BusLost, NoRespondersError):
            raise Unavailable(f"every server of {address} has as much as it takes") from None

    async def answer(self, reply: str, data: bytes, headers: dict[str, str]) -> None:
        """Send an answer, if there is still somebody to send it through."""
        if reply and self.link.connected:
            await (await self.link.client()).publish(reply, data, headers=headers)


def _busy(answer: Msg) -> bool:
    return (answer.headers or {}).get(OUTCOME) == BUSY


def _outcome(address: str, answer: Msg) -> Message:
    headers = answer.headers or {}
    if _busy(answer):
        raise Unavailable(f"{address} has as many requests in hand as it takes")
    if headers.get(OUTCOME) == FAILED:
        words = base64.b64decode(headers.get(WORDS, "")).decode(errors="replace")
        raise RemoteError(words, remote_code=headers.get(CODE, "error"))
    return decode(headers, answer.data, address, 0)


def _encoded(words: str) -> str:
    return base64.b64encode(words.encode()).decode()
