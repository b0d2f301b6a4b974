"""A backend on a Unix socket that keeps every byte it is sent and judges it strictly.

Place:  the edge -> [recorder] <- conformance tests
Rule:   it must not forgive: a byte that is not part of a well-formed request is a finding.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import h11

READ_BYTES = 65536
CONNECTION_BYTES_MAX = 64 << 20


@dataclass(slots=True)
class Connection:
    """One upstream connection: its bytes, the requests found in them, the first fault."""

    raw: bytes = b""
    requests: list[h11.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    fault: str = ""

    def split(self) -> Connection:
        """Return what was seen so far as a connection of its own, and begin anew."""
        seen = Connection(self.raw, self.requests, self.bodies, self.fault)
        self.raw, self.requests, self.bodies, self.fault = b"", [], [], ""
        return seen


class Recorder:
    """Serve ``200 recorded`` on a Unix socket and remember what came in.

    Used as a context manager; `take()` returns and forgets the connections seen so far.
    """

    def __init__(self, path: Path, *, body: bytes = b"recorded") -> None:
        self.path = path
        self.address = f"unix:{path}"
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        recorder = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                connection = Connection()
                with recorder._lock:
                    recorder._connections.append(connection)
                _serve(self.request, connection, body)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(str(path), Handler)

    def take(self) -> list[Connection]:
        """Return what every connection carried since the last call; those still open go on."""
        with self._lock:
            return [connection.split() for connection in self._connections if connection.raw]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


def _serve(sock: socket.socket, seen: Connection, body: bytes) -> None:
    """Read requests until the peer closes; stop at the first malformed byte."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    sock.settimeout(30)
    try:
        while _one_request(sock, parser, seen, body):
            parser.start_next_cycle()
    except h11.RemoteProtocolError as error:
        # A request cut off by a closed connection was never complete: nothing was smuggled.
        if "peer closed" not in str(error) and "peer unexpectedly closed" not in str(error):
            seen.fault = str(error)
    except OSError:
        return


def _one_request(
    sock: socket.socket, parser: h11.Connection, seen: Connection, body: bytes
) -> bool:
    """Take one request and answer it; False when the connection is over."""
    parts: list[bytes] = []
    request = None
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            data = sock.recv(READ_BYTES)
            if len(seen.raw) < CONNECTION_BYTES_MAX:
                seen.raw += data
            parser.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return False
    if request is None:
        return False
    seen.requests.append(request)
    seen.bodies.append(b"".join(parts))
    return _answer(sock, parser, request, body)


def _answer(sock: socket.socket, parser: h11.Connection, request: h11.Request, body: bytes) -> bool:
    """Answer 200; a request to leave HTTP ends the connection instead."""
    if request.method == b"CONNECT":
        return False
    head = h11.Response(
        status_code=200,
        headers=[("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    sock.sendall(parser.send(head) or b"")
    if request.method != b"HEAD":
        sock.sendall(parser.send(h11.Data(data=body)) or b"")
    sock.sendall(parser.send(h11.EndOfMessage()) or b"")
    return parser.our_state is h11.DONE and parser.their_state is h11.DONE
