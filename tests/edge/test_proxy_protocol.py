"""The PROXY protocol: believed from trusted peers, never from others.

Place:  a balancer's connection -> edge -> a worker that says who it thinks asked
Rule:   a connection whose header is wrong is closed unheard.
"""

from __future__ import annotations

import socket
import struct

import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.snapshots import pool

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
DOORS = {"http": {"proxy_protocol": True}}
LIMITS = {"header_timeout_s": 1.0}


def echo(link: socket.socket, head: bytes) -> None:
    """Answer with the line of the request that names the client."""
    lines = head.decode("latin-1").split("\r\n")
    named = [line for line in lines if line.lower().startswith("x-forwarded-for:")]
    body = ", ".join(named).encode()
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def edge(start, worker) -> EdgeProcess:
    apps = {"app": pool(worker(echo))}
    return start(apps, doors=DOORS, trusted_proxies=["127.0.0.0/8"], limits=LIMITS)


def v2(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + b"\x04\xd2\x00\x50"


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\r\n",
        b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1234 80\r\n",
        v2(0x21, 0x11, ADDRESSES),
        v2(0x21, 0x11, ADDRESSES + b"\x04\x00\x02ab"),
    ],
)
def test_the_worker_learns_the_client_behind_a_trusted_balancer(edge, header: bytes) -> None:
    answer = exchange(edge.port(), header + REQUEST)

    assert answer.statuses == (200,)
    assert b"192.0.2.7" in answer.raw
    assert b"127.0.0.1" not in answer.raw


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(0x20, 0x00, b"")])
def test_a_balancer_that_asks_for_itself_is_the_client(edge, header: bytes) -> None:
    answer = exchange(edge.port(), header + REQUEST)

    assert answer.statuses == (200,)
    assert b"127.0.0.1" in answer.raw


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1234\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\n",
        b"PROXY " + b"x" * 200 + b"\r\n",
        v2(0x31, 0x11, ADDRESSES),
        v2(0x21, 0x11, ADDRESSES[:8]),
    ],
)
def test_a_wrong_header_closes_the_connection_unheard(edge: EdgeProcess, header: bytes) -> None:
    answer = exchange(edge.port(), header + REQUEST)

    assert (answer.statuses, answer.closed) == ((), True)


def test_a_balancer_that_says_nothing_is_given_up(edge: EdgeProcess) -> None:
    answer = exchange(edge.port(), b"PROXY TCP4 ", quiet_s=4.0, total_s=8.0)

    assert (answer.statuses, answer.closed) == ((), True)


def test_a_peer_that_is_not_trusted_is_not_heard_at_all(start, worker) -> None:
    apps = {"app": pool(worker(echo))}
    edge = start(apps, doors=DOORS, trusted_proxies=["192.0.2.0/24"], limits=LIMITS)

    for header in (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 80\r\n", v2(0x20, 0x00, b""), b""):
        answer = exchange(edge.port(), header + REQUEST)
        assert (answer.statuses, answer.closed) == ((), True)
