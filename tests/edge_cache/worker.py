"""An app for the cache's tests: what it answers is decided by the test, one path at a time.

Place:  tests/edge_cache -> [worker] <- the edge
Rule:   counts every request it sees; a gate holds an answer until the test opens it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

GATE_S_MAX = 20.0


@dataclass(slots=True)
class Asked:
    """One request as the app got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    count: int


@dataclass(slots=True)
class Answer:
    """What the app says."""

    body: bytes = b"hello"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    chunks: tuple[bytes, ...] = ()


class Gate:
    """Holds answers back: `arrived` once one waits, and none goes before `open`."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._open = threading.Event()

    @property
    def is_open(self) -> bool:
        """Nothing is held any more."""
        return self._open.is_set()

    def open(self) -> None:
        """Let all pass, now and later."""
        self._open.set()

    def wait(self) -> None:
        """Wait for `open`."""
        self.arrived.set()
        assert self._open.wait(GATE_S_MAX), "the test never opened the gate"


class Worker:
    """Serves on a free port of 127.0.0.1; as a context manager it ends with the test."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.seen: Counter[str] = Counter()
        self.requests: list[Asked] = []
        self._lock = threading.Lock()
        worker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                asked = worker._count(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                )
                said = answer(asked)
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if said.chunks:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                for chunk in said.chunks:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                if said.chunks:
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.wfile.write(said.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """As the snapshot names it."""
        return f"tcp:127.0.0.1:{self._server.server_address[1]}"

    def _count(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
        with self._lock:
            self.seen[path] += 1
            asked = Asked(method, path, headers, body, self.seen[path])
            self.requests.append(asked)
            return asked

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
