"""Serve an ASGI app at its mount: root_path, scheme, client and the mergepoint extension.

Place:  server of the venv -> [host.asgi] -> the user's ASGI app
Rule:   `path` keeps the mount and `root_path` names it, as the ASGI specification says.
"""

from __future__ import annotations

import asyncio
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import calls, failure, figures, lifespan, place, stacks, who

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .loop import LoopWatch
    from .settings import Settings

    Scope = dict[str, Any]
    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS_READ = frozenset(
    (
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-request-id",
        b"traceparent",
        b"host",
        b"mergepoint-probe",
        who.HEADER,
    )
)
TRANSFER_ENCODING_BYTES = len(b"transfer-encoding")
SECURE = {"http": "https", "ws": "wss"}
PLAIN = {"https": "http", "wss": "ws"}


class Call:
    """One request in flight: its coroutine and start, for the watchdogs; the app's `send`."""

    __slots__ = ("_send", "answered", "called", "callee", "cookies", "coroutine", "scope",
                 "started_s", "thread")  # fmt: skip

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.started_s = monotonic()
        self.answered = False
        self.callee: calls.Callee | None = None
        self.called = False
        self.coroutine: Any = None
        self.cookies: list[tuple[bytes, bytes]] = []
        self.thread = threading.get_ident()
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; the first one of any answer ends the watch."""
        if self.answered:
            return self._send(message)
        if self.callee is None and not self.cookies:
            self.answered = True
            return self._send(unframed(message))
        return self._send_unless_called(message)

    async def _send_unless_called(self, message: Message) -> None:
        if self._hands_on(message):
            return
        self.answered = True
        if message["type"] == "http.response.start":
            message = dict(message, headers=[*message.get("headers", ()), *self.cookies])
        await self._send(unframed(message))

    def _hands_on(self, message: Message) -> bool:
        if message["type"] == "http.response.start" and not self.called:
            pairs = [(n.decode("latin-1"), v) for n, v in message.get("headers", ())]
            self.called = self.callee is not None and calls.asks(pairs)
            if self.called:
                self.cookies += [
                    (name.encode("latin-1"), value)
                    for name, value in pairs
                    if name.lower() == "set-cookie"
                ]
        return self.called

    def call(self, app: ASGIApp, at: str = "") -> tuple[str, str]:
        """Return the header a view sets to let `app` answer instead; see host.calls."""
        self.callee = calls.Callee(app, at)
        return calls.HEADER, "asgi"

    def describe(self) -> dict[str, str]:
        """Return request id, method and path for a report."""
        return {
            "request_id": self.scope.get("mergepoint", {}).get("request_id", ""),
            "method": self.scope.get("method", "WEBSOCKET"),
            "path": self.scope.get("path", ""),
        }

    @property
    def running(self) -> bool:
        """Tell whether this request is the one the loop is working on at this moment."""
        return bool(getattr(self.coroutine, "cr_running", False))

    def stack(self) -> str:
        """Return where this request waits or runs, and the threads it may be waiting for."""
        if self.running:
            return stacks.of_thread(self.thread)
        waiting = stacks.of_coroutine(self.coroutine)
        return waiting + stacks.of_busy_threads({self.thread})


class AsgiShim:
    """The ASGI callable given to the server; holds the app and the set of requests in flight."""

    def __init__(
        self, app: ASGIApp, settings: Settings, in_flight: set[Any], watch: LoopWatch | None
    ) -> None:
        self._app = app
        self._settings = settings
        self._splits_prefix = settings.prefix == "host"
        self._in_flight = in_flight
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, or pass lifespan through."""
        if self._watch is not None:
            self._watch.start(asyncio.get_running_loop())
            self._watch = None
        if scope["type"] not in ("http", "websocket"):
            await self._live(scope, receive, send)
            return
        told = {name: value for name, value in scope["headers"] if name in HEADERS_READ}
        if b"mergepoint-probe" in told:
            await _probed(told[b"mergepoint-probe"], send)
            return
        place_asgi(scope, told, self._splits_prefix)
        call = Call(scope, send)
        scope["mergepoint"] = {
            "request_id": told.get(b"x-request-id", b"").decode("latin-1"),
            "traceparent": told.get(b"traceparent", b"").decode("latin-1"),
            "call": call.call,
        }
        token = told.get(who.HEADER)
        if token and self._settings.trusts_headers:
            scope["mergepoint"][who.SCOPE_KEY] = who.identity(token.decode("latin-1"))
        self._in_flight.add(call)
        try:
            call.coroutine = self._app(scope, receive, call.send)
            if scope["type"] == "http" and figures.wanted():
                await _measured(call)
            else:
                await call.coroutine
            if call.callee is not None:
                await self._follow(call, receive)
        finally:
            self._in_flight.discard(call)
            scope["mergepoint"].pop("call", None)  # it would tie scope and call into a cycle

    async def _follow(self, call: Call, receive: Receive) -> None:
        for _ in range(calls.DEPTH_MAX):
            if not call.called or call.callee is None:
                return
            callee, call.callee, call.called = call.callee, None, False
            mount = call.scope.get("root_path", "") + callee.at.rstrip("/")
            if place.split_path(call.scope["path"], mount) is None:
                raise calls.NotUnderMount(
                    f"a view called an app at {callee.at!r}, but the path is {call.scope['path']!r}"
                )
            call.scope["root_path"] = mount
            call.coroutine = callee.app(call.scope, receive, call.send)
            await call.coroutine
        raise RecursionError(f"views called apps more than {calls.DEPTH_MAX} deep")

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass lifespan through; a failed start-up leaves the one line that says why."""

        async def noting(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                text = message.get("message", "")
                sys_failure = lifespan.startup_failure(
                    None, text, self._settings.directory, self._settings.app
                )
                failure.report(sys_failure)
            await send(message)

        await self._app(scope, receive, noting)


async def _measured(call: Call) -> None:
    steps = figures.steps(call.coroutine)
    try:
        await steps
    finally:
        figures.stop(steps, figures.name_asgi(call.scope))


async def _probed(probe: bytes, send: Send) -> None:
    """Answer what only the supervisor and the edge can ask."""
    asked = probe == figures.PROBE_WANTED.encode()
    headers = [(b"content-type", b"application/json")] if asked else []
    body = figures.told() if asked else b""
    await send({"type": "http.response.start", "status": 200 if asked else 204, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def unframed(message: Message) -> Message:
    """Return a response head without Transfer-Encoding: framing is the server's alone. Pure.

    Servers disagree about it: uvicorn takes it over, Granian drops the connection.
    """
    for name, _ in message.get("headers", ()):
        if len(name) == TRANSFER_ENCODING_BYTES and name.lower() == b"transfer-encoding":
            break
    else:
        return message
    kept = [pair for pair in message["headers"] if pair[0].lower() != b"transfer-encoding"]
    return dict(message, headers=kept)


def place_asgi(scope: Scope, told: dict[bytes, bytes], splits_prefix: bool) -> None:
    """Set root_path, scheme, client and server in place."""
    prefix = told.get(b"x-forwarded-prefix")
    if prefix and splits_prefix:
        parts = place.split_path(scope["path"], place.decoded(prefix.decode("latin-1"), "utf-8"))
        if parts is not None:
            scope["root_path"] = parts[0]
    proto = told.get(b"x-forwarded-proto")
    if proto:
        table = SECURE if proto == b"https" else PLAIN
        scheme = scope.get("scheme", "http")
        scope["scheme"] = table.get(scheme, scheme)
    client = told.get(b"x-forwarded-for")
    if client:
        scope["client"] = (client.split(b",", 1)[0].strip().decode("latin-1"), 0)
    host = told.get(b"x-forwarded-host") or told.get(b"host")
    if host:
        name, port = place.split_host(host.decode("latin-1"), scope.get("scheme", "http"))
        written = told.get(b"x-forwarded-port")
        port = written.decode("latin-1") if written else port
        scope["server"] = (name, int(port) if port.isdigit() else None)
