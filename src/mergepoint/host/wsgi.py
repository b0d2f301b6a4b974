"""Serve a WSGI app at its mount: the environ it expects, PEP 3333 kept on every server.

Place:  server of the venv -> [host.wsgi] -> the user's WSGI app
Rule:   one object per request; the path of an answer in one piece stays short, it is common.
"""

from __future__ import annotations

import tempfile
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import calls, figures, length, place, stacks, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    Environ = dict[str, Any]
    Headers = list[tuple[str, str]]
    WSGIApp = Callable[..., Iterable[bytes]]
    Pieces = list[bytes]
else:
    Pieces = list  # Python 3.8 cannot subscript it

WRITTEN_MEMORY_BYTES_MAX = 1 << 20
"""What `write()` may keep in memory on servers without one; the rest goes to a temporary file."""
WRITTEN_CHUNK_BYTES = 1 << 16


class Exchange:
    """One request: the app's start_response, the server's iterable, the watched record."""

    # Class attributes are the defaults: one request writes only what differs from them.
    answered = False
    started = False
    headers: Headers | tuple[()] = ()
    called = False
    callee: calls.Callee | None = None
    cookies: tuple[tuple[str, str], ...] = ()
    received: IO[bytes] | None = None
    written: IO[bytes] | None = None
    _sent = False
    _body: Iterable[bytes] = ()

    def __init__(self, environ: Environ, start: Callable[..., Any], in_flight: set[Any]) -> None:
        self.environ = environ
        self.thread = get_ident()
        self.started_s = monotonic()
        self._start = start
        self._in_flight = in_flight

    def start_response(
        self, status: str, headers: Headers, exc_info: Any = None
    ) -> Callable[[bytes], Any]:
        """Pass the head on; after the first byte was sent, raise `exc_info` as PEP 3333 asks."""
        if self.callee is not None and not self._sent and calls.asks(headers):
            self.called = self.started = True
            self.cookies = (*self.cookies, *calls.cookies(headers))
            return len  # a write() that drops what it is given
        if self.cookies:
            headers = [*headers, *self.cookies]
        self.headers = headers
        if exc_info is not None:
            try:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
                write = self._start(status, headers, exc_info)
            finally:
                exc_info = None  # breaks the cycle through the traceback's frames
        elif self.started:
            raise AssertionError("start_response was called twice without exc_info")
        else:
            write = self._start(status, headers)
        self.started = True
        return write or self._write

    @property
    def ends_with_list(self) -> bool:
        """Tell whether nothing is left to do once a list answer is returned."""
        return self.written is None and self.received is None

    def call(self, app: WSGIApp, at: str = "") -> tuple[str, str]:
        """Return the header a view sets to let `app` answer instead; see host.calls."""
        self.callee = calls.Callee(app, at)
        return calls.HEADER, "wsgi"

    def _write(self, data: bytes) -> None:
        if self.written is None:
            self.written = tempfile.SpooledTemporaryFile(WRITTEN_MEMORY_BYTES_MAX)  # noqa: SIM115
        self.written.write(data)

    def stream(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the answer as an iterator whose head is already known to the server.

        When the first piece has the length that the head announces, it is the whole answer and is
        returned in a list, which servers send in one go, head included.
        """
        self._body = body
        self._iterator: Iterator[bytes] = iter(body)
        self._held: list[bytes] = []
        try:
            if not self.started:
                self._begin()
            elif self.ends_with_list and not self.called:
                announced = length.announced(self.headers)
                if announced and self._hold() == announced:
                    self._sent = self.answered = True
                    return Whole(self, self._held)
        except BaseException:
            self.close()
            raise
        if self.written is not None:
            self._iterator = self._after_written(self.written, self._iterator)
        return self

    def _begin(self) -> None:
        """Ask a generator for its first chunk, which is when it calls start_response.

        Servers that send the head before they iterate, as Granian does, would send it empty.
        """
        self._hold()
        if not self.started:
            raise AssertionError("the application answered without calling start_response")

    def _hold(self) -> int:
        """Take the first chunk, which the server gets first; return its length."""
        for chunk in self._iterator:
            self._held.append(chunk)
            return len(chunk)
        return 0

    @staticmethod
    def _after_written(written: IO[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
        written.seek(0)
        while True:
            chunk = written.read(WRITTEN_CHUNK_BYTES)
            if not chunk:
                break
            yield chunk
        yield from rest

    def __iter__(self) -> Exchange:
        return self

    def __next__(self) -> bytes:
        if self._held:
            chunk = self._held.pop()
        else:
            self.thread = get_ident()
            chunk = next(self._iterator)
        if chunk:
            self._sent = self.answered = True
        return chunk

    def let_go(self, body: Iterable[bytes]) -> None:
        """Drop the answer of an app that let another one answer, and be ready for that one's."""
        close = getattr(self._body if body is self else body, "close", None)
        self._body = ()
        self.called = self.started = False
        if close is not None:
            close()

    def close(self) -> None:
        """Close the app's iterable exactly as the server closes this one."""
        self.answered = True
        self._in_flight.discard(self)
        for spooled in (self.written, self.received):
            if spooled is not None:
                spooled.close()
        close = getattr(self._body, "close", None)
        if close is not None:
            close()

    def finish(self) -> None:
        """Let the app do what it does after its last piece, then close."""
        try:
            for _ in self._iterator:
                pass
        finally:
            self.close()

    def describe(self) -> dict[str, str]:
        """Return request id, method and path for a report."""
        get = self.environ.get
        path = get("SCRIPT_NAME", "") + get("PATH_INFO", "")
        return {
            "request_id": get("mergepoint.request_id", ""),
            "method": get("REQUEST_METHOD", ""),
            "path": path,
        }

    def stack(self) -> str:
        """Return where the thread of this request is now."""
        return stacks.of_thread(self.thread)


class Whole(Pieces):
    """An answer in one piece; the app's iterable is run to its end and closed once it is taken.

    Most servers close what they are given. Granian hands a list on and drops it, so that is when.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self._exchange: Exchange | None = exchange

    def close(self) -> None:
        """End the request; the second call does nothing."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.finish()

    __del__ = close


class WsgiShim:
    """The WSGI callable given to the server; holds the app and the set of requests in flight."""

    def __init__(
        self, app: WSGIApp, splits_prefix: bool, in_flight: set[Any], trusted: bool = True
    ) -> None:
        self._app = app
        self._splits_prefix = splits_prefix
        self._trusted = trusted
        self._in_flight = in_flight

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; the edge's probe is answered without the app."""
        probe = environ.get("HTTP_MERGEPOINT_PROBE")
        if probe is not None:
            return _probed(probe, start_response)
        place.place_wsgi(environ, self._splits_prefix)
        who.place_wsgi(environ, self._trusted)
        in_flight = self._in_flight
        exchange = Exchange(environ, start_response, in_flight)
        environ["mergepoint.call"] = exchange.call
        in_flight.add(exchange)
        watch = figures.watch() if figures.wanted() else None
        try:
            if "HTTP_TRANSFER_ENCODING" in environ:
                exchange.received = length.give(environ)
            body = self._begun(exchange, self._app)
            if exchange.callee is not None:
                body = self._follow(exchange, body)
        except BaseException:
            in_flight.discard(exchange)
            raise
        finally:
            if watch is not None:
                figures.stop(watch, figures.name_wsgi(environ))
        if type(body) is list:
            in_flight.discard(exchange)
        # Left there it would tie environ and exchange into a cycle for the collector.
        environ.pop("mergepoint.call", None)
        return body

    @staticmethod
    def _begun(exchange: Exchange, app: WSGIApp) -> Iterable[bytes]:
        """Call `app` until its head is known; a finished list is returned as it is."""
        body = app(exchange.environ, exchange.start_response)
        if type(body) is list and exchange.started and exchange.ends_with_list:
            return body
        return exchange.stream(body)

    def _follow(self, exchange: Exchange, body: Iterable[bytes]) -> Iterable[bytes]:
        """Let the app that a view named answer in its place, and the one that one names."""
        for _ in range(calls.DEPTH_MAX):
            if not exchange.called or exchange.callee is None:
                return body
            exchange.let_go(body)
            callee, exchange.callee = exchange.callee, None
            calls.shift(exchange.environ, callee.at)
            body = self._begun(exchange, callee.app)
        raise RecursionError(f"views called apps more than {calls.DEPTH_MAX} deep")


def _probed(probe: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer what only the supervisor and the edge can ask."""
    if probe != figures.PROBE_WANTED:
        start_response("204 No Content", [])
        return []
    body = figures.told()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
