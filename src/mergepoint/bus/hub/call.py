"""One call of a client, and the ways to answer it.

Place:  bus.hub.server -> [bus.hub.call] -> bus.hub.queue_calls, topic_calls, peer_calls, upkeep
Rule:   answered exactly once; an answer to a connection that is gone goes nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergepoint.bus.errors import BusError
from mergepoint.bus.hub.connection import Connection
from mergepoint.bus.hub.fields import Head


class Call:
    """What came, and from whom."""

    __slots__ = ("_answered", "_calls_max", "connection", "head", "number", "op", "rest")

    def __init__(
        self, connection: Connection, number: int, op: str, head: Head, rest: bytes, calls_max: int
    ) -> None:
        self.connection = connection
        self.number = number
        self.op = op
        self.head = head
        self.rest = rest
        self._answered = False
        self._calls_max = calls_max
        connection.call_began()

    def ok(self, value: Any = None, parts: Sequence[bytes] = ()) -> None:  # Any: as JSON
        """Answer with a value."""
        answer = {"i": self.number, "ok": value}
        if parts:
            answer["n"] = [len(part) for part in parts]
        self._send(answer, parts)

    def fail(self, error: BusError) -> None:
        """Answer with an error."""
        self.fail_as({"code": error.code, "message": error.message, "next": error.next})

    def fail_as(self, told: dict[str, str]) -> None:
        """Answer with an error that is told already."""
        self._send({"i": self.number, "error": told}, ())

    def _send(self, answer: dict[str, Any], parts: Sequence[bytes]) -> None:
        if self._answered:
            return
        self._answered = True
        self.connection.send(answer, *parts)
        self.connection.call_ended(self._calls_max)
