"""E7: hostile and slow clients cost bounded memory, and everybody else is served meanwhile.

Place:  hostile clients -> edge -> recorder
Rule:   memory is the edge's own RSS, read before and at the worst moment.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.recorder import Recorder
from mergepoint_testkit.snapshots import pool, site

MIB = 1 << 20
GOOD = b"GET /ok HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"
IDLE = 10_000
RSS_PER_IDLE_BYTES_MAX = 24 * 1024
RSS_GROWTH_BYTES_MAX = 64 * MIB
SERVED_S_MAX = 1.0


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EdgeProcess, Recorder]]:
    """An edge with short time-outs, so that bounds are reached within a test."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        directory = Path(name)
        limits = {"header_timeout_s": 1.0, "body_idle_timeout_s": 1.0, "idle_timeout_s": 20.0}
        with Recorder(directory / "r.sock") as recorder, EdgeProcess(directory) as edge:
            document = site({"app": pool(recorder.address)}, limits=limits)
            yield edge.start(document), recorder


def rss(edge: EdgeProcess) -> int:
    assert edge.process is not None
    return int(psutil.Process(edge.process.pid).memory_info().rss)


def assert_others_are_served(edge: EdgeProcess) -> None:
    began = time.monotonic()
    answer = exchange(edge.port(), GOOD, total_s=5)

    assert answer.statuses == (200,)
    assert time.monotonic() - began < SERVED_S_MAX


@contextlib.contextmanager
def clients(edge: EdgeProcess, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Open `count` connections that each send `first` and then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 500)), hard))
    links: list[socket.socket] = []
    try:
        for _ in range(count):
            link = socket.create_connection(("127.0.0.1", edge.port()), timeout=5)
            link.sendall(first)
            links.append(link)
        yield links
    finally:
        for link in links:
            link.close()


def closed_by_peer(link: socket.socket, within_s: float) -> bool:
    """Tell whether the server closes a connection in time; whatever it sends first is read."""
    link.settimeout(within_s)
    deadline = time.monotonic() + within_s
    try:
        while time.monotonic() < deadline:
            if not link.recv(4096):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def test_ten_thousand_idle_connections_cost_bounded_memory(
    running: tuple[EdgeProcess, Recorder],
) -> None:
    edge, _ = running
    before = rss(edge)

    with clients(edge, IDLE, b"") as links:
        for link in links:  # one after the other: the subject is holding them, not a burst
            link.sendall(b"GET /ok HTTP/1.1\r\nHost: site.example\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 200")
        grown = rss(edge) - before
        assert_others_are_served(edge)

    print(f"{IDLE} idle connections: {grown / IDLE:.0f} bytes each")
    assert grown / IDLE < RSS_PER_IDLE_BYTES_MAX


def test_headers_that_never_end_are_cut_off(running: tuple[EdgeProcess, Recorder]) -> None:
    edge, recorder = running

    with clients(edge, 200, b"GET / HTTP/1.1\r\nHost: site.example\r\nX-Slow: ") as links:
        assert_others_are_served(edge)
        assert all(closed_by_peer(link, 4) for link in links)

    recorder.take()
    assert_others_are_served(edge)


def test_a_header_sent_byte_by_byte_does_not_outlive_its_time(
    running: tuple[EdgeProcess, Recorder],
) -> None:
    edge, _ = running
    with clients(edge, 1, b"GET / HTTP/1.1\r\nHost: site.example\r\nX: ") as (link,):
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 6:
                link.sendall(b"a")
                time.sleep(0.1)

        assert time.monotonic() - began < 5


def test_a_body_that_never_comes_is_cut_off(running: tuple[EdgeProcess, Recorder]) -> None:
    edge, _ = running
    head = b"POST / HTTP/1.1\r\nHost: site.example\r\nContent-Length: 1000000\r\n\r\nabc"

    with clients(edge, 100, head) as links:
        assert_others_are_served(edge)
        assert all(closed_by_peer(link, 6) for link in links)


@pytest.mark.parametrize(
    "payload",
    [
        b"GET / HTTP/1.1\r\nHost: site.example\r\nX: " + b"a" * (4 * MIB) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: site.example\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"a" * (4 * MIB) + b" HTTP/1.1\r\nHost: site.example\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\n\r\n5;"
        + b"e" * (4 * MIB),
    ],
    ids=["one huge header", "countless headers", "huge target", "huge chunk extension"],
)
def test_a_header_bomb_costs_bounded_memory(
    running: tuple[EdgeProcess, Recorder], payload: bytes
) -> None:
    edge, _ = running
    before = rss(edge)
    threads = [
        threading.Thread(target=exchange, args=(edge.port(), payload), kwargs={"total_s": 4})
        for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    worst = max(rss(edge) for _ in _until_done(threads))

    assert worst - before < RSS_GROWTH_BYTES_MAX
    assert exchange(edge.port(), payload, total_s=3).accepted == 0
    assert_others_are_served(edge)


def _until_done(threads: list[threading.Thread]) -> Iterator[None]:
    yield
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.02)
        yield


def h2_link(edge: EdgeProcess) -> tuple[H2Connection, socket.socket]:
    link = socket.create_connection(("127.0.0.1", edge.port()), timeout=5)
    connection = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
    connection.initiate_connection()
    link.sendall(connection.data_to_send())
    return connection, link


REQUEST = [
    (":method", "GET"), (":scheme", "http"), (":authority", "site.example"), (":path", "/slow"),
]  # fmt: skip


def test_rapid_reset_is_cut_off(running: tuple[EdgeProcess, Recorder]) -> None:
    """CVE-2023-44487: streams opened and reset at once, without end."""
    edge, recorder = running
    before = rss(edge)
    connection, link = h2_link(edge)
    sent = 0
    with contextlib.suppress(OSError, ProtocolError):
        for _ in range(20_000):
            stream = connection.get_next_available_stream_id()
            connection.send_headers(stream, REQUEST, end_stream=True)
            connection.reset_stream(stream)
            link.sendall(connection.data_to_send())
            sent += 1

    seen = sum(len(c.requests) for c in recorder.take())
    print(f"rapid reset: {sent} streams sent, {seen} reached the app")
    assert closed_by_peer(link, 3)
    assert seen < 2_000
    assert rss(edge) - before < RSS_GROWTH_BYTES_MAX
    assert_others_are_served(edge)


def test_a_continuation_flood_costs_bounded_memory(
    running: tuple[EdgeProcess, Recorder],
) -> None:
    """CVE-2024-27316: header blocks continued without end."""
    edge, _ = running
    before = rss(edge)
    connection, link = h2_link(edge)
    block = connection.encoder.encode([*REQUEST, ("x", "y" * 1000)])
    frame = len(block).to_bytes(3, "big") + b"\x01\x00" + (1).to_bytes(4, "big") + block
    more = (16000).to_bytes(3, "big") + b"\x09\x00" + (1).to_bytes(4, "big") + b"\x00" * 16000
    with contextlib.suppress(OSError):
        link.sendall(frame)
        for _ in range(4000):
            link.sendall(more)

    assert closed_by_peer(link, 3)
    assert rss(edge) - before < RSS_GROWTH_BYTES_MAX
    assert_others_are_served(edge)


def test_an_hpack_bomb_costs_bounded_memory(running: tuple[EdgeProcess, Recorder]) -> None:
    """One large header in the dynamic table, named thousands of times by one byte each."""
    edge, recorder = running
    before = rss(edge)
    for _ in range(20):
        connection, link = h2_link(edge)
        block = connection.encoder.encode([*REQUEST, ("x", "y" * 3800)])
        bomb = block + b"\xbe" * 16_000
        head = len(bomb).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big")
        with contextlib.suppress(OSError):
            link.sendall(head + bomb)
        closed_by_peer(link, 0.5)
        link.close()

    assert rss(edge) - before < RSS_GROWTH_BYTES_MAX
    assert not any(len(r.headers) > 200 for c in recorder.take() for r in c.requests)
    assert_others_are_served(edge)


def test_settings_and_ping_floods_do_not_stop_others(
    running: tuple[EdgeProcess, Recorder],
) -> None:
    edge, _ = running
    before = rss(edge)
    _, link = h2_link(edge)
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    link.settimeout(2)
    with contextlib.suppress(OSError):
        for _ in range(2000):
            link.sendall(ping * 50 + settings * 50)

    assert rss(edge) - before < RSS_GROWTH_BYTES_MAX
    assert_others_are_served(edge)
