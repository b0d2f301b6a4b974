"""Requests: one inbox for each process, for what it is asked and what it is answered.

Place:  adapters.redis.engine -> [requests] -> lua/request.lua, listening
Rule:   whoever asks waits for its own deadline; a request is handed over once and never again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from mergepoint.bus.adapters.redis import carried
from mergepoint.bus.adapters.redis.link import Link
from mergepoint.bus.contract import Handler
from mergepoint.bus.errors import (
    BusError,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.core.errors import MergepointError
from mergepoint.wire.envelope import Message


@dataclass(eq=False)
class Served:
    """One address, its handler, and what is in hand."""

    address: str
    handler: Handler
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Requests:
    """What one process asks and answers."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._served: list[Served] = []
        self._asked: dict[str, asyncio.Future[tuple[dict[str, str], bytes]]] = {}
        self._number = 0
        self._listens = False
        link.restored.append(self._serve_again)

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or raise the one error."""
        await self._listen()
        tried: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    head, body = await self._ask(address, message, tried)
                    if head.get("error") != "unavailable":
                        return _answer(head, body)
                    tried.append(head["owner"])
        except TimeoutError:
            raise RequestTimeout(
                f"no answer from {address} in {timeout_s:g} s; it may have run"
            ) from None

    async def serve(self, address: str, handler: Handler) -> RedisServing:
        """Answer from now on."""
        await self._listen()
        served = Served(address, handler)
        self._served.append(served)
        try:
            await self._register(address)
        except BaseException:
            self._served.remove(served)
            raise
        return RedisServing(self, served)

    async def end(self, served: Served) -> None:
        """Take no more; return when what is in hand is answered."""
        if served in self._served:
            self._served.remove(served)
            still = {name for one in self._served for name in _names(one.address)}
            for name in set(_names(served.address)) - still:
                with contextlib.suppress(BusError):
                    key = f"{self._link.prefix}servers:{name}"
                    await self._link.command("SREM", key, self._link.owner)
        if served.tasks:
            await asyncio.wait(served.tasks)

    async def withdraw(self) -> None:
        """Take no more requests for any address."""
        for served in tuple(self._served):
            self._served.remove(served)
            with contextlib.suppress(BusError):
                for name in _names(served.address):
                    key = f"{self._link.prefix}servers:{name}"
                    await self._link.command("SREM", key, self._link.owner)
            self._stop(served)

    def cut(self) -> None:
        """Answer nothing any more."""
        for served in self._served:
            self._stop(served)

    def _stop(self, served: Served) -> None:
        for task in served.tasks:
            task.cancel()

    async def _listen(self) -> None:
        if not self._listens:
            await self._link.listen(f"inbox:{self._link.owner}", self._came)
            self._listens = True

    async def _register(self, address: str) -> None:
        prefix = self._link.prefix
        await self._link.command("SADD", f"{prefix}served", address.partition("/")[0])
        for name in _names(address):
            await self._link.command("SADD", f"{prefix}servers:{name}", self._link.owner)

    async def _serve_again(self) -> None:
        for served in self._served:
            await self._register(served.address)

    async def _ask(
        self, address: str, message: Message, tried: list[str]
    ) -> tuple[dict[str, str], bytes]:
        self._number += 1
        number = str(self._number)
        future = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        app, _, instance = address.partition("/")
        head = {"ask": number, "address": address, "reply": self._link.owner}
        asked = {"app": app, "instance": instance, "tried": tried, "head": carried.dumped(head)}
        try:
            owner = (await self._link.run("request", asked, carried.packed(message))).decode()
            if owner == "unknown" and not tried:
                raise NoSuchAddress(f"nobody serves {address}")
            if owner in ("none", "unknown"):
                raise Unavailable(f"whoever serves {address} takes nothing now")
            answered: tuple[dict[str, str], bytes] = await future
            return answered
        finally:
            del self._asked[number]

    def _came(self, _channel: bytes, payload: bytes) -> None:
        head, body = carried.beheaded(payload)
        if "ask" in head:
            self._serve_one(head, body)
            return
        future = self._asked.get(head.get("to", ""))
        if future is not None and not future.done():
            future.set_result((head, body))

    def _serve_one(self, head: dict[str, str], body: bytes) -> None:
        served = self._chosen(head["address"])
        if served is None or len(served.tasks) >= self._link.limits.requests_max:
            work = self._reply(head, {"error": "unavailable"}, b"")
        else:
            work = self._handle(served, head, body)
        task = asyncio.create_task(work)
        tasks = served.tasks if served is not None else set()
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _chosen(self, address: str) -> Served | None:
        """Return the least busy of what answers to this address here."""
        able = [one for one in self._served if address in _names(one.address)]
        return min(able, key=lambda one: len(one.tasks), default=None)

    async def _handle(self, served: Served, head: dict[str, str], body: bytes) -> None:
        try:
            answer = await served.handler(carried.unpacked(body))
            told, carries = {}, carried.packed(answer)
        except Exception as error:
            told, carries = _failure(error), b""
        await self._reply(head, told, carries)

    async def _reply(self, head: dict[str, str], told: dict[str, str], body: bytes) -> None:
        full = {"to": head["ask"], "owner": self._link.owner, **told}
        channel = f"{self._link.prefix}inbox:{head['reply']}"
        # An answer that cannot be sent is a timeout for whoever asked, which says so.
        with contextlib.suppress(BusError):
            await self._link.command("PUBLISH", channel, carried.headed(full, body))


class RedisServing:
    """An address that is being served."""

    def __init__(self, requests: Requests, served: Served) -> None:
        self._requests = requests
        self._served = served

    async def close(self) -> None:
        """Take no more requests, let those in hand be answered."""
        await self._requests.end(self._served)


def _names(address: str) -> tuple[str, ...]:
    """Return what this address answers to: itself, and its app."""
    app = address.partition("/")[0]
    return (address,) if app == address else (address, app)


def _answer(head: dict[str, str], body: bytes) -> Message:
    if head.get("error") == "failed":
        raise RemoteError(
            head.get("message", ""),
            remote_code=head.get("code", "error"),
            next=head.get("next", ""),
        )
    return carried.unpacked(body)


def _failure(error: Exception) -> dict[str, str]:
    told = {"error": "failed"}
    if isinstance(error, RemoteError):
        return told | {"code": error.remote_code, "message": error.message, "next": error.next}
    if isinstance(error, MergepointError):
        return told | {"code": error.code, "message": error.message, "next": error.next}
    return told | {"code": "error", "message": f"{type(error).__name__}: {error}", "next": ""}
