"""Requests over ZeroMQ: the relay chooses a server, and says so when there is none.

Place:  bus.adapters.zeromq -> [zeromq_requests] -> zeromq_link
Rule:   exactly one outcome for each number.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.adapters.answers import check_answer, failure
from mergepoint.bus.adapters.zeromq_link import Link
from mergepoint.bus.adapters.zeromq_relay import Frames
from mergepoint.bus.contract import Handler
from mergepoint.bus.errors import (
    BusError,
    BusLost,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.wire.envelope import Message


class Serving:
    """One address that is served."""

    def __init__(self, requests: Requests, address: str, handler: Handler) -> None:
        self.address = address
        self.handler = handler
        self.tasks: set[asyncio.Task[None]] = set()
        self._requests = requests

    async def close(self) -> None:
        """Take no more; return when what is in hand is answered."""
        await self._requests.end(self)
        while self.tasks:
            await asyncio.wait(self.tasks)


class Requests:
    """What this process asks and serves."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._servings: dict[str, Serving] = {}
        self._refusing: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Give up what is in hand."""
        for serving in self._servings.values():
            for task in serving.tasks:
                task.cancel()

    async def restore(self) -> None:
        """Tell another relay what is served here."""
        for serving in self._servings.values():
            await self._tell(serving)

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on; a second serving of an address here takes the place of the first."""
        serving = Serving(self, address, handler)
        await self._tell(serving)
        self._servings[address] = serving
        return serving

    async def end(self, serving: Serving) -> None:
        """Take no more for it."""
        if self._servings.get(serving.address) is not serving:
            return
        with contextlib.suppress(BusError, TimeoutError):
            await self._link.call(wire.UNSERVE, serving.address.encode())
        # What the relay sent before it knew comes before its answer, and was taken.
        self._servings.pop(serving.address, None)

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or one error."""
        packed = wire.pack(message)
        try:
            answer = await self._link.call(wire.ASK, address.encode(), *packed, timeout_s=timeout_s)
        except TimeoutError:
            raise RequestTimeout(
                f"no answer from {address} in {timeout_s:g} s; it may have run"
            ) from None
        except BusLost:
            raise RequestTimeout(
                f"the relay was lost while {address} was asked; it may have run"
            ) from None
        return _outcome(address, answer)

    def do(self, frames: Frames) -> None:
        """Begin to answer what the relay handed over."""
        asker, number, address, *packed = frames
        serving = self._servings.get(address.decode())
        message = wire.unpack(*packed) if len(packed) == 2 else None
        if serving is None or message is None:
            task = asyncio.create_task(self._send(asker, number, [wire.BUSY, b"", b""]))
            self._keep(task)
            return
        task = asyncio.create_task(self._answer(serving, asker, number, message))
        serving.tasks.add(task)
        task.add_done_callback(serving.tasks.discard)

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The loop alone does not hold on to a task."""
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    async def _tell(self, serving: Serving) -> None:
        most = str(self._link.limits.requests_max).encode()
        try:
            await self._link.call(wire.SERVE, serving.address.encode(), most)
        except TimeoutError:
            raise BusLost(f"zeromq: the relay did not take {serving.address}") from None

    async def _answer(self, serving: Serving, asker: bytes, number: bytes, asked: Message) -> None:
        try:
            answer = await serving.handler(asked)
            check_answer(answer, self._link.limits.message_bytes_max)
            outcome = [wire.OK, *wire.pack(answer)]
        except Exception as error:  # a handler's failure belongs to whoever asked
            outcome = [wire.FAILED, json.dumps(failure(error)).encode(), b""]
        await self._send(asker, number, outcome)

    async def _send(self, asker: bytes, number: bytes, outcome: Frames) -> None:
        with contextlib.suppress(BusError):
            await self._link.send(wire.DONE, asker, number, *outcome)


def _outcome(address: str, answer: Frames) -> Message:
    outcome, rest = answer[0], answer[1:]
    if outcome == wire.NOBODY:
        raise NoSuchAddress(f"nobody serves {address}", next="mergepoint presence")
    if outcome == wire.BUSY:
        raise Unavailable(f"{address} has as many requests in hand as it takes")
    if outcome == wire.GONE:
        raise RequestTimeout(f"whoever answered for {address} is gone; it may have run")
    if outcome == wire.FAILED:
        code, words = json.loads(rest[0])
        raise RemoteError(words, remote_code=code)
    message = wire.unpack(*rest) if len(rest) == 2 else None
    if message is None:
        raise RemoteError(f"{address} answered with no message", remote_code="bus.undecodable")
    return message
