"""Answers that say what they were made from: `X-Mergepoint-Tags`, where the edge asks for it.

Place:  host.tags -> [cache.around] -> cache.reads, around the app
Rule:   the head is held until the last piece is there, because an app may read until then.

Only requests with `Mergepoint-Fill` are looked at, and only they are held. A body longer than
`HELD_BYTES_MAX` goes on as it comes, and its answer is `unknown`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from mergepoint.cache import reads as reading
from mergepoint.cache.reads import NOBODY, UNKNOWN, Reads
from mergepoint.cache.strays import blind_module

HEADER = "X-Mergepoint-Tags"
REASON = "X-Mergepoint-Unknown"
"""Why the tags are unknown, for `mergepoint cache why`."""
REASON_BYTES_MAX = 200
FILL_ENVIRON = "HTTP_MERGEPOINT_FILL"
FILL = b"mergepoint-fill"
HELD_BYTES_MAX = 1024 * 1024
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[str, str]]


def around(app: Any, interface: str) -> Any:
    """Return the app, of the same interface, so that its answers are tagged."""
    return Wsgi(app) if interface == "wsgi" else Asgi(app)


def told(reads: Reads) -> Headers:
    """Return the headers that say what a request was made from, now that it has ended."""
    module = blind_module()
    if module:
        reading.go_blind(f"{module} is loaded, whose reads are not seen")
    tags, reason = reads.told()
    return unknown(reason) if reason else [(HEADER, tags)]


def unknown(reason: str) -> Headers:
    """Return the headers of an answer that is made from nobody knows what. Pure."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in reason)
    return [(HEADER, UNKNOWN), (REASON, plain[:REASON_BYTES_MAX])]


LONG = unknown(f"its body is longer than {HELD_BYTES_MAX} bytes, or a stream")


class Wsgi:
    """A WSGI app whose answers are tagged."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ.pop(FILL_ENVIRON, None) is None:
            with reading.entered(NOBODY):
                return self._app(environ, start)
        held = _Held(start)
        with reading.entered(Reads()) as reads:
            body = self._app(environ, held.start_response)
            return held.answered(body, reads)


class _Held:
    """The head and the pieces of one answer, until it is whole."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self._start = start
        self._head: tuple[Any, ...] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._through: Callable[[bytes], Any] | None = None

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Any:
        """Keep the head; one that comes with an exception replaces it."""
        self._head = (status, headers) if exc_info is None else (status, headers, exc_info)
        return self._write

    def _write(self, data: bytes) -> None:
        """Hold what an app writes by itself, until it is too much."""
        if self._through is not None:
            self._through(data)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HELD_BYTES_MAX:
            self._through = self._begin(LONG)
            for piece in self._pieces:
                self._through(piece)

    def answered(self, body: Iterable[bytes], reads: Reads) -> Iterable[bytes]:
        """Return the answer with its tags: whole in a list, or as it comes when it is long."""
        if self._through is not None:
            return body
        pieces, rest = self._pieces, iter(body)
        try:
            for piece in rest:
                pieces.append(piece)
                self._size += len(piece)
                if self._size > HELD_BYTES_MAX:
                    self._begin(LONG)
                    return _Rest(pieces, rest, body)
        except BaseException:
            _close(body)
            raise
        _close(body)
        self._begin(told(reads))
        return pieces

    def _begin(self, tags: Headers) -> Callable[[bytes], Any]:
        if self._head is None:
            raise AssertionError("the application answered without calling start_response")
        status, headers, *rest = self._head
        if not any(name.lower() == HEADER.lower() for name, _ in headers):
            headers = [*headers, *tags]
        write: Callable[[bytes], Any] = self._start(status, headers, *rest)
        return write


class _Rest:
    """What was held of a long body, then what follows; closed as the app's own."""

    def __init__(self, held: list[bytes], rest: Iterator[bytes], body: Iterable[bytes]) -> None:
        self._held = iter(held)
        self._rest = rest
        self._body = body

    def __iter__(self) -> _Rest:
        return self

    def __next__(self) -> bytes:
        for piece in self._held:
            return piece
        with reading.entered(NOBODY):
            return next(self._rest)

    def close(self) -> None:
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


class Asgi:
    """An ASGI app whose answers are tagged."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Answer one request; WebSockets and the lifespan pass."""
        asked = scope["type"] == "http" and any(name == FILL for name, _ in scope["headers"])
        if not asked:
            with reading.entered(NOBODY):
                await self._app(scope, receive, send)
            return
        with reading.entered(Reads()) as reads:
            held = _HeldMessages(send, reads)
            await self._app(scope, receive, held.send)
            await held.end()


class _HeldMessages:
    def __init__(self, send: Send, reads: Reads) -> None:
        self._send = send
        self._reads = reads
        self._messages: list[Message] | None = []
        self._size = 0

    async def send(self, message: Message) -> None:
        """Hold a message until the last one of the answer."""
        if self._messages is None:
            await self._send(message)
            return
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._go(told(self._reads))
        elif self._size > HELD_BYTES_MAX or message["type"] not in PLAIN:
            await self._go(LONG)

    async def end(self) -> None:
        """Send what an app left unfinished, as it would have without us."""
        if self._messages is not None:
            await self._go(LONG)

    async def _go(self, tags: Headers) -> None:
        held, self._messages = self._messages or [], None
        for message in held:
            begins = message["type"] == "http.response.start"
            await self._send(_tagged(message, tags) if begins else message)


PLAIN = frozenset(("http.response.start", "http.response.body"))


def _tagged(message: Message, tags: Headers) -> Message:
    name = HEADER.lower().encode()
    headers = list(message.get("headers", ()))
    if any(one.lower() == name for one, _ in headers):
        return message
    ours = [(name.lower().encode(), value.encode()) for name, value in tags]
    return {**message, "headers": [*headers, *ours]}
