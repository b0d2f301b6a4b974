"""E7: workers that answer slowly, endlessly or wrongly, and clients that do not read.

Place:  clients -> edge -> a raw worker that misbehaves
Rule:   the edge holds little of an answer, and passes it on as it comes.
"""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.snapshots import pool, site

MIB = 1 << 20
RSS_GROWTH_BYTES_MAX = 48 * MIB
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def worker() -> Iterator[Callable[[Callable[[socket.socket], None]], EdgeProcess]]:
    """Start an edge before a worker that does what the given function does with a connection."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        directory, edges = Path(name), []

        def start(behave: Callable[[socket.socket], None]) -> EdgeProcess:
            class Handler(socketserver.BaseRequestHandler):
                def handle(self) -> None:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        data = self.request.recv(65536)
                        if not data:
                            return
                        head += data
                    behave(self.request)

            class Server(socketserver.ThreadingUnixStreamServer):
                daemon_threads = True
                request_queue_size = 128

            server = Server(str(directory / "w.sock"), Handler)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            edge = EdgeProcess(directory)
            edges.append((edge, server))
            limits = {"body_idle_timeout_s": 3.0}
            document = site({"app": pool(f"unix:{directory}/w.sock")}, limits=limits)
            return edge.start({**document, "mode": "development"})

        yield start
        for edge, server in edges:
            edge.stop()
            server.shutdown()


def rss(edge: EdgeProcess) -> int:
    assert edge.process is not None
    return int(psutil.Process(edge.process.pid).memory_info().rss)


def test_an_answer_of_one_byte_a_second_arrives_byte_by_byte(worker) -> None:
    def behave(link: socket.socket) -> None:
        link.sendall(OK + b"Content-Length: 5\r\n\r\n")
        for letter in b"abcde":
            time.sleep(0.4)
            link.sendall(bytes([letter]))

    edge = worker(behave)
    arrivals = []
    with socket.create_connection(("127.0.0.1", edge.port())) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while data := client.recv(4096):
            arrivals.append((time.monotonic(), data))

    assert b"".join(data for _, data in arrivals).endswith(b"abcde")
    assert arrivals[-1][0] - arrivals[0][0] > 1.0


def test_a_client_that_does_not_read_holds_back_the_worker(worker) -> None:
    sent = [0]

    def behave(link: socket.socket) -> None:
        link.sendall(OK + b"Content-Length: 1073741824\r\n\r\n")
        link.settimeout(20)
        try:
            for _ in range(1024):
                link.sendall(b"x" * MIB)
                sent[0] += MIB
        except OSError:
            return

    edge = worker(behave)
    before = rss(edge)
    with socket.create_connection(("127.0.0.1", edge.port())) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(100)
        time.sleep(2)
        held, grown = sent[0], rss(edge) - before

    assert held < 64 * MIB
    assert grown < RSS_GROWTH_BYTES_MAX


def test_a_gigabyte_passes_through_in_bounded_memory(worker) -> None:
    size = 1 << 30

    def behave(link: socket.socket) -> None:
        link.sendall(OK + f"Content-Length: {size}\r\n\r\n".encode())
        block = b"x" * MIB
        for _ in range(1024):
            link.sendall(block)

    edge = worker(behave)
    before, worst, got = rss(edge), 0, 0
    with socket.create_connection(("127.0.0.1", edge.port())) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        buffer = bytearray(MIB)
        while count := client.recv_into(buffer):
            got += count
            if got % (64 * MIB) < count:
                worst = max(worst, rss(edge))

    assert got > size
    assert worst - before < RSS_GROWTH_BYTES_MAX


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"X" * (2 * MIB),
        b"",
    ],
    ids=["not HTTP", "two lengths", "no number", "endless header", "nothing"],
)
def test_a_worker_that_answers_nonsense_is_a_clear_502(worker, answer: bytes) -> None:
    def behave(link: socket.socket) -> None:
        link.sendall(answer)
        link.close()

    edge = worker(behave)
    request = b"POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n"
    got = exchange(edge.port(), request, total_s=5)

    assert got.statuses == (502,)
    assert b'"app":"app"' in got.raw.replace(b" ", b"")


def test_an_answer_cut_off_half_way_is_not_passed_as_whole(worker) -> None:
    def behave(link: socket.socket) -> None:
        link.sendall(OK + b"Content-Length: 1000\r\n\r\nonly this")
        link.close()

    edge = worker(behave)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    got = exchange(edge.port(), request, total_s=5)

    assert got.closed
    assert len(got.raw.partition(b"\r\n\r\n")[2]) < 1000
