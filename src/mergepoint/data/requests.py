"""One transaction per request: committed before the first byte of the answer leaves.

Place:  host.transactions -> [data.requests] -> data.units, around the app
Rule:   standard library alone; the head of an answer is held until its transaction has ended.

An exception or a 5xx rolls back. What a generator reads after its first piece it reads in a
read-only transaction of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from mergepoint.data import units
from mergepoint.data.errors import DataError, DataUnavailable
from mergepoint.data.units import Unit

MODES = ("request", "read-only-get")
"""`read-only-get`: GET and HEAD are read-only and see one moment, too."""
SAFE = ("GET", "HEAD", "OPTIONS")
ERROR_STATUS_MIN = 500
DRIVERS = ("sqlalchemy", "psycopg", "sqlite3", "aiosqlite")
"""Packages whose exceptions a database can be the cause of."""
CAUSES_MAX = 10
"""How far behind an exception its cause is looked for."""
Start = Callable[..., Callable[[bytes], Any]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


def unit_for(method: str, mode: str) -> Unit:
    """Return the unit of a request. Pure but for the making."""
    reads = mode == "read-only-get" and method in SAFE
    return Unit(read_only=reads, repeatable=reads, lazy=method in SAFE)


def around(app: Any, interface: str, mode: str) -> Any:
    """Return the app, of the same interface, with a transaction around each request."""
    return Wsgi(app, mode) if interface == "wsgi" else Asgi(app, mode)


def answer_of(error: Exception) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body for a transaction that could not be committed. Pure."""
    unavailable = isinstance(error, DataUnavailable)
    code = error.code if isinstance(error, DataError) else "data.error"
    reason = error.message if isinstance(error, DataError) else "the transaction failed"
    body = f"{code}: {reason}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    if isinstance(error, DataUnavailable):
        headers.append(("Retry-After", str(error.retry_after_s)))
    return (503 if unavailable else 500), headers, body


def replaced(status: int, unit: Unit) -> Exception | None:
    """Return what is told instead of a bare 500 that a database is the cause of. Pure."""
    return unit.failure if status == ERROR_STATUS_MIN else None


class Wsgi:
    """A WSGI app with a transaction around each request."""

    def __init__(self, app: Callable[..., Iterable[bytes]], mode: str) -> None:
        self._app = app
        self._mode = mode

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        exchange = _Exchange(unit_for(environ.get("REQUEST_METHOD", "GET"), self._mode), start)
        try:
            with units.entered(exchange.unit):
                body = self._app(environ, exchange.hold)
                return exchange.answered(body, environ.get("wsgi.file_wrapper"))
        except BaseException as error:
            exchange.unit.close()
            told = _told(error, exchange.unit)
            if told is None or exchange.started:
                raise
            return exchange.refuse(told)


class _Exchange:
    def __init__(self, unit: Unit, start: Start) -> None:
        self.unit = unit
        self.started = False
        self._start = start
        self._head: tuple[Any, ...] = ()
        self._write: Callable[[bytes], Any] | None = None

    def hold(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Keep the head back; pass it on when it comes again with an exception."""
        if self.started and exc_info is not None:
            return self._start(status, headers, exc_info)
        self._head = (status, headers) if exc_info is None else (status, headers, exc_info)
        return self._written

    def answered(self, body: Iterable[bytes], wrapper: object) -> Iterable[bytes]:
        if isinstance(body, list | tuple) or self._head:
            # Its head is known: nothing of a stream needs to be run for it.
            first: list[bytes] = []
            rest = body
        else:
            rest = iter(body)
            first = [piece for piece in (next(rest, None),) if piece is not None]
        refused = self._ended()
        if refused is not None:
            _close(body)
            return refused
        is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
        if isinstance(body, list | tuple) or is_file:
            self.unit.close()
            return body  # a file in the server's own wrapper stays one
        return _Stream(self.unit, first, rest, body)

    def refuse(self, error: Exception) -> list[bytes]:
        status, headers, body = answer_of(error)
        self.started = True
        phrase = "Service Unavailable" if status == 503 else "Internal Server Error"
        self._start(f"{status} {phrase}", headers)
        return [body]

    def _ended(self) -> list[bytes] | None:
        """End the transaction, then pass the head on; return another answer if it failed."""
        if self.started or not self._head:
            return None
        status = int(self._head[0][:3])
        try:
            self.unit.end(good=status < ERROR_STATUS_MIN)
        except Exception as error:
            self.unit.close()
            _report(error)
            return self.refuse(error)
        told = replaced(status, self.unit)
        if told is not None:
            self.unit.close()
            return self.refuse(told)
        self.started = True
        self._write = self._start(*self._head)
        return None

    def _written(self, data: bytes) -> Any:
        refused = self._ended()
        if refused is not None:
            raise DataUnavailable("the answer was refused: its transaction failed")
        return self._write(data) if self._write is not None else None


class _Stream:
    """What is left of an answer; the unit is entered for each piece and closed with the answer."""

    def __init__(
        self, unit: Unit, first: list[bytes], rest: Iterable[bytes], body: Iterable[bytes]
    ) -> None:
        self._unit = unit
        self._first = first
        self._rest: Iterator[bytes] = iter(rest)
        self._body = body

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> bytes:
        if self._first:
            return self._first.pop()
        with units.entered(self._unit):
            return next(self._rest)

    def close(self) -> None:
        try:
            with units.entered(self._unit):
                _close(self._body)
        finally:
            self._unit.close()


class Asgi:
    """An ASGI app with a transaction around each HTTP request."""

    def __init__(self, app: Callable[..., Awaitable[None]], mode: str) -> None:
        self._app = app
        self._mode = mode

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        """Answer one request; WebSockets and lifespan pass as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        unit = unit_for(scope["method"], self._mode)
        sender = _Sender(unit, send)
        try:
            with units.entered(unit):
                await self._app(scope, receive, sender)
        except BaseException as error:
            told = _told(error, unit)
            if told is None or sender.started:
                raise
            await sender.refuse(told)
        finally:
            await unit.aclose()


class _Sender:
    def __init__(self, unit: Unit, send: Send) -> None:
        self.started = False
        self._unit = unit
        self._send = send
        self._head: Message | None = None
        self._refused = False

    async def __call__(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._head = message
            return
        if self._head is not None and not self.started:
            await self._end(self._head)
        if not self._refused:
            await self._send(message)

    async def refuse(self, error: Exception) -> None:
        status, headers, body = answer_of(error)
        self._refused = self.started = True
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})
        await self._send({"type": "http.response.body", "body": body})

    async def _end(self, head: Message) -> None:
        status = int(head["status"])
        try:
            await self._unit.aend(good=status < ERROR_STATUS_MIN)
        except Exception as error:
            _report(error)
            await self.refuse(error)
            return
        told = replaced(status, self._unit)
        if told is not None:
            await self.refuse(told)
            return
        self.started = True
        await self._send(head)


def _told(error: BaseException, unit: Unit) -> Exception | None:
    """Return what a person is told of an exception of the app; None: the app's own affair."""
    if isinstance(error, DataUnavailable):
        return error
    seen: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if seen is None:
            return None
        if type(seen).__module__.partition(".")[0] in DRIVERS:
            return unit.failure
        seen = seen.__cause__ or seen.__context__
    return None


def _report(error: Exception) -> None:
    sys.stderr.write(f"mergepoint: the transaction of a request failed: {error}\n")


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
