"""Serve a WSGI app where ASGI is spoken: a bounded pool of threads, both bodies streamed.

Place:  host.together, host.serve_uvicorn, host.serve_hypercorn -> [host.bridge] -> a WSGI app
Rule:   nothing is buffered whole; the app's thread waits for the loop, never the loop for it.
"""

from __future__ import annotations

import asyncio
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Body(io.RawIOBase):
    """The request body as the app reads it: each read waits for the loop's next message."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self._loop = loop
        self._receive = receive
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._ended:
            waiting = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            self._rest = waiting.result()
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self._ended = True
            return b""
        self._ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))


class ClientLeft(ConnectionError):
    """The client is gone; raised where the app's answer would be sent on, so that it ends."""


class _Answer:
    """Turns start_response, write and the iterable into ASGI messages, in the app's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self.left = False
        self._loop = loop
        self._send = send
        self._head: dict[str, Any] | None = None
        self._sent = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._sent:
            raise exc_info[1].with_traceback(exc_info[2])
        pairs = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        self._head = {
            "type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": pairs,
        }  # fmt: skip
        return self.write

    def write(self, data: bytes) -> None:
        if self._head is None:
            raise AssertionError("the application answered without calling start_response")
        if not self._sent:
            self._sent = True
            self._wait(self._head)
        if data:
            self._wait({"type": "http.response.body", "body": data, "more_body": True})

    def finish(self) -> None:
        self.write(b"")
        self._wait({"type": "http.response.body", "body": b"", "more_body": False})

    def _wait(self, message: dict[str, Any]) -> None:
        if self.left:
            raise ClientLeft("the client closed the connection")
        asyncio.run_coroutine_threadsafe(self._deliver(message), self._loop).result()

    async def _deliver(self, message: dict[str, Any]) -> None:
        await self._send(message)


def as_asgi(app: Callable[..., Any], threads: int) -> Callable[..., Awaitable[None]]:
    """Return an ASGI app that runs `app` on at most `threads` threads; more requests wait."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")

    async def bridged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        loop = asyncio.get_running_loop()
        environ = environ_of(scope, io.BufferedReader(_Body(loop, receive)))
        answer = _Answer(loop, send)
        watch = asyncio.ensure_future(_note_leaving(receive, answer)) if _bodiless(scope) else None
        try:
            await loop.run_in_executor(pool, _run, app, environ, answer)
        except ClientLeft:
            return
        finally:
            if watch is not None:
                watch.cancel()

    return bridged


def _bodiless(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return not names & {b"content-length", b"transfer-encoding"}


async def _note_leaving(receive: Receive, answer: _Answer) -> None:
    """Wait until a client without a body leaves; servers drop what is sent after that silently."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answer.left = True


def _run(app: Callable[..., Any], environ: dict[str, Any], answer: _Answer) -> None:
    body = app(environ, answer.start_response)
    try:
        for chunk in body:
            if chunk:
                answer.write(chunk)
        answer.finish()
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


async def _no_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def environ_of(scope: Scope, body: Any) -> dict[str, Any]:
    """Return the WSGI environ of an ASGI request; `root_path` becomes SCRIPT_NAME. Pure."""
    root = scope.get("root_path", "")
    path = scope["path"]
    if root and path.startswith(root):
        path = path[len(root) :]
    server = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode("utf-8").decode("latin-1"),
        "PATH_INFO": path.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = environ[key] + separator + value
        environ[key] = value
    return environ
