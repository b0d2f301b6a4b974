"""Calls between clients: requests and presence.

Place:  bus.hub.server -> [bus.hub.peer_calls] -> bus.hub.requests, bus.hub.presence
Rule:   memory alone, at once; nothing here touches the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mergepoint.bus.errors import BusError, BusRefused, MessageTooLarge, RequestTimeout
from mergepoint.bus.hub import fields
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.connection import Connection
from mergepoint.bus.hub.presence import Member, Presence
from mergepoint.bus.hub.requests import Asked, Requests
from mergepoint.core.clock import Clock
from mergepoint.wire.frames import Frame
from mergepoint.wire.names import check_address, check_watched

TIMEOUT_S_MAX = 3_600.0
NUMBER_MAX = 2**31
INFO_BYTES_MAX = 16 * 1024


class Peers:
    """What clients are to each other."""

    def __init__(self, requests_max: int, message_bytes_max: int, clock: Clock) -> None:
        self.requests = Requests(requests_max)
        self.presence = Presence()
        self._message_bytes_max = message_bytes_max
        self._clock = clock
        self._asking: dict[int, Call] = {}

    def ops(self) -> dict[str, Callable[[Call], None]]:
        """Return the operations by name."""
        return {
            "request": self._request,
            "serve": self._serve,
            "unserve": self._unserve,
            "join": self._join,
            "update": self._update,
            "leave": self._leave,
            "watch": self._watch,
            "unwatch": self._unwatch,
        }

    def answer(self, connection: Connection, frame: Frame) -> None:
        """Pass on what a server answered: `call`, and either `n` or `error`."""
        number = frame.head.get("answer")
        asked = self.requests.answered(connection, number) if isinstance(number, int) else None
        call = self._asking.pop(asked.number, None) if asked is not None else None
        if call is None:
            return
        error = frame.head.get("error")
        if isinstance(error, Mapping):
            told = {name: str(error.get(name, "")) for name in ("code", "message", "next")}
            call.fail_as({**told, "code": "bus.remote", "remote_code": told["code"]})
            return
        try:
            call.ok(None, fields.message(frame.head, frame.rest))
        except BusError as refused:
            call.fail(refused)

    def gone(self, connection: Connection) -> None:
        """Forget a connection, and tell those who waited for it."""
        for asked, error in self.requests.gone(connection):
            call = self._asking.pop(asked.number, None)
            if call is not None:
                call.fail(error)
        self.presence.gone(connection)

    def overdue(self) -> None:
        """End requests whose time is over."""
        for asked in self.requests.overdue(self._clock.monotonic_s()):
            asked.asker = None
            call = self._asking.pop(asked.number, None)
            if call is not None:
                call.fail(RequestTimeout("no answer in time; it may have run, or may still run"))

    def _request(self, call: Call) -> None:
        address = fields.named(call.head, "address", check_address)
        timeout_s = fields.number(call.head, "timeout_s", None, TIMEOUT_S_MAX)
        attributes, data = fields.message(call.head, call.rest)
        if len(data) > self._message_bytes_max:
            most = self._message_bytes_max
            raise MessageTooLarge(f"a request of {len(data)} bytes; at most {most}")
        until_s = self._clock.monotonic_s() + timeout_s
        asked: Asked = self.requests.ask(call.connection, call.number, address, until_s)
        self._asking[asked.number] = call
        head = {
            "call": asked.number,
            "address": asked.server.address,
            "timeout_s": timeout_s,
            "n": [len(attributes), len(data)],
        }
        asked.server.connection.send(head, attributes, data)

    def _serve(self, call: Call) -> None:
        self.requests.serve(call.connection, fields.named(call.head, "address", check_address))
        call.ok()

    def _unserve(self, call: Call) -> None:
        self.requests.unserve(call.connection, fields.named(call.head, "address", check_address))
        call.ok()

    def _join(self, call: Call) -> None:
        self.presence.join(
            Member(
                connection=call.connection,
                number=fields.whole(call.head, "member", None, NUMBER_MAX),
                address=fields.named(call.head, "address", check_address),
                info=_info(call),
                since=fields.number(call.head, "since", self._clock.unix_s()),
            )
        )
        call.ok()

    def _update(self, call: Call) -> None:
        number = fields.whole(call.head, "member", None, NUMBER_MAX)
        self.presence.update(call.connection, number, _info(call))
        call.ok()

    def _leave(self, call: Call) -> None:
        self.presence.leave(call.connection, fields.whole(call.head, "member", None, NUMBER_MAX))
        call.ok()

    def _watch(self, call: Call) -> None:
        number = fields.whole(call.head, "watch", None, NUMBER_MAX)
        pattern = fields.named(call.head, "pattern", check_watched)
        call.ok()
        self.presence.watch(call.connection, number, pattern)

    def _unwatch(self, call: Call) -> None:
        self.presence.unwatch(call.connection, fields.whole(call.head, "watch", None, NUMBER_MAX))
        call.ok()


def _info(call: Call) -> Mapping[str, str]:
    info = call.head.get("info")
    if not isinstance(info, dict) or not all(isinstance(one, str) for one in info.values()):
        raise BusRefused(f"call {call.op}: info is an object of texts")
    size = sum(len(name) + len(text) for name, text in info.items())
    if size > INFO_BYTES_MAX:
        raise BusRefused(f"call {call.op}: info of {size} characters; at most {INFO_BYTES_MAX}")
    return info
