"""Puts and acks of many callers in one frame: what is asked in one turn of the loop goes together.

Place:  bus.adapters.hub -> [bus.adapters.hub_puts] -> bus.adapters.hub_link
Rule:   a caller's messages stay together; its answer is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from mergepoint.bus.adapters.hub_link import HubLink
from mergepoint.bus.adapters.hub_pending import Told
from mergepoint.bus.adapters.hub_wire import Answer
from mergepoint.bus.errors import BusError, BusFull

FRAME_MESSAGES_MAX = 500
FRAME_BYTES_MAX = 4 * 1024 * 1024
"""What one frame of puts holds; what one caller puts at once may be longer."""

Row = list[Any]
"""`[id, length of attributes, length of data]`, and how, where it is not as usual."""


Caller = tuple["asyncio.Future[list[bool]]", Sequence[Row], Sequence[bytes]]
"""Whose answer it is, and what it put."""


class _Together:
    """Puts of one queue that go out together."""

    __slots__ = ("callers", "parts", "rows", "size")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.parts: list[bytes] = []
        self.size = 0
        self.callers: list[Caller] = []


class Puts:
    """Collects what one turn of the loop asks for."""

    def __init__(self, link: HubLink) -> None:
        self._link = link
        self._queues: dict[str, _Together] = {}
        self._tokens: list[str] = []
        self._askers: list[tuple[asyncio.Future[set[str]], int]] = []
        self._soon = False
        self._alone = True
        """Whether the last turn that was waited for had one caller: the next may go out at once."""
        self._under_way = 0

    def put(
        self, queue: str, rows: Sequence[Row], parts: Sequence[bytes], size: int
    ) -> asyncio.Future[list[bool]]:
        """Put messages; the answer says which were duplicates."""
        future: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        together = self._queues.get(queue)
        if together is None:
            together = self._queues[queue] = _Together()
        elif (
            len(together.rows) + len(rows) > FRAME_MESSAGES_MAX
            or together.size + size > FRAME_BYTES_MAX
        ):
            self._send_puts(queue, together)
            together = self._queues[queue] = _Together()
        together.rows += rows
        together.parts += parts
        together.size += size
        together.callers.append((future, rows, parts))
        self._plan()
        return future

    def ack(self, tokens: Sequence[str]) -> asyncio.Future[set[str]]:
        """Finish jobs; the answer is those of all that were lost."""
        future: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()
        self._tokens += tokens
        self._askers.append((future, len(tokens)))
        self._plan()
        return future

    def _plan(self) -> None:
        if self._soon:
            return
        if self._alone and not self._under_way:
            self._link.together(self._send)
            return
        self._soon = True
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._soon = False
        callers = sum(len(each.callers) for each in self._queues.values()) + len(self._askers)
        self._alone = callers <= 1
        self._link.together(self._send)

    def _send(self) -> None:
        queues, self._queues = self._queues, {}
        for queue, together in queues.items():
            self._send_puts(queue, together)
        if self._tokens:
            self._send_acks()

    def _send_puts(self, queue: str, together: _Together) -> None:
        callers = together.callers

        def answered(answer: Answer | None, error: BaseException | None) -> None:
            self._under_way -= 1
            if isinstance(error, BusFull) and len(callers) > 1:
                # All of them together have no room; one by one, some may.
                for caller in callers:
                    self._send_puts(queue, _alone(caller))
            elif answer is None:
                _fail([future for future, _, _ in callers], error)
            else:
                _tell(callers, set(answer.value))

        self._under_way += 1
        try:
            head = {"op": "put", "queue": queue, "puts": together.rows}
            self._link.tell(head, together.parts, Told(answered), repeat=True)
        except BusError as error:
            answered(None, error)

    def _send_acks(self) -> None:
        tokens, self._tokens = self._tokens, []
        askers, self._askers = self._askers, []

        def answered(answer: Answer | None, error: BaseException | None) -> None:
            self._under_way -= 1
            if answer is None:
                _fail([future for future, _ in askers], error)
                return
            lost = set(answer.value)
            for future, _ in askers:
                if not future.done():
                    future.set_result(lost)

        self._under_way += 1
        try:
            self._link.tell({"op": "ack", "tokens": tokens}, (), Told(answered))
        except BusError as error:
            answered(None, error)


def _alone(caller: Caller) -> _Together:
    together = _Together()
    together.rows += caller[1]
    together.parts += caller[2]
    together.callers.append(caller)
    return together


def _tell(callers: Sequence[Caller], duplicates: set[int]) -> None:
    at = 0
    for future, rows, _ in callers:
        end = at + len(rows)
        if not future.done():
            future.set_result([place in duplicates for place in range(at, end)])
        at = end


def _fail(futures: Sequence[asyncio.Future[Any]], error: BaseException | None) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error or BusError("the hub did not say what became of it"))
