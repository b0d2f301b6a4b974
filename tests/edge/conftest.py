"""The real edge binary before small raw workers, asked by plain clients.

Place:  clients -> edge -> files, raw workers
Rule:   one edge for each test; ports and directories of its own.
"""

from __future__ import annotations

import http.client
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.snapshots import site

Json = dict[str, Any]
Behave = Callable[[socket.socket, bytes], None]
ANSWER_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case, repeated ones joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    edge: EdgeProcess,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    name: str = "http",
) -> Answer:
    """Send one request on a connection of its own; the path goes out as it is."""
    link = http.client.HTTPConnection("127.0.0.1", edge.port(name), timeout=ANSWER_S_MAX)
    try:
        link.request(method, path, headers={"Accept-Encoding": "identity", **(headers or {})})
        response = link.getresponse()
        body = response.read()
        found: dict[str, str] = {}
        for key, value in response.getheaders():
            key = key.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return Answer(response.status, found, body)
    finally:
        link.close()


def static(root: Path, **changes: Any) -> Json:
    """Return an app of files under `root`."""
    app: Json = {
        "kind": "static",
        "root": str(root),
        "index": ["index.html"],
        "fallback": None,
        "cache_control": "public, max-age=60",
        "compress": True,
    }
    return {**app, **changes}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path leaves room for socket names."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        yield Path(name)


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[..., EdgeProcess]]:
    """Start an edge for these apps; keywords are fields of the snapshot."""
    edges: list[EdgeProcess] = []

    def begin(apps: Mapping[str, Json], **fields: Any) -> EdgeProcess:
        doors = fields.pop("doors", {"http": {}})
        plain = {"tls": False, "proxy_protocol": False, "admin": False}
        listeners = {name: {**plain, **given} for name, given in doors.items()}
        edge = EdgeProcess(directory, tuple(doors))
        edges.append(edge)
        document = site(apps, fields.pop("routes", None), **fields)
        return edge.start({**document, "listeners": listeners})

    yield begin
    for edge in edges:
        edge.close()


@pytest.fixture
def worker(directory: Path) -> Iterator[Callable[[Behave], str]]:
    """Serve a Unix socket with a function of the connection and the request head; its address."""
    servers: list[socketserver.BaseServer] = []

    def begin(behave: Behave) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while head := _head(self.request):
                    behave(self.request, head)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        path = directory / f"w{len(servers)}.sock"
        server = Server(str(path), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"unix:{path}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def _head(link: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = link.recv(65536)
        if not data:
            return b""
        head += data
    return head


def whole(body: bytes, kind: str = "text/html; charset=utf-8", *extra: str) -> Behave:
    """Return a worker that answers every request with this body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *extra]
    answer = "\r\n".join([*lines, "", ""]).encode() + body

    def behave(link: socket.socket, head: bytes) -> None:
        del head
        link.sendall(answer)

    return behave
