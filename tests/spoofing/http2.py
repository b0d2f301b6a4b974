"""What HTTP/2 adds: pseudo-headers, upper case, and values a line could not hold.

Place:  [http2] -> test_spoofing
Rule:   frames are built without the checks a decent client makes.
"""

from __future__ import annotations

import contextlib
import socket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from .ways import CLAIM

WAIT_S_MAX = 20.0
Fields = list[tuple[str, str]]


def tricks() -> dict[str, Fields]:
    """Return fields beside the usual ones, by the name of the trick."""
    return {
        "pseudo-header of the name": [(":remote-user", CLAIM)],
        "pseudo-header of the token": [(":mergepoint-identity", CLAIM)],
        "upper case": [("Remote-User", CLAIM)],
        "line break in a value": [("x-a", f"b\r\nRemote-User: {CLAIM}")],
        "line break in a name": [(f"x-a: b\r\nremote-user: {CLAIM}\r\nx-b", "c")],
        "null in a value": [("x-a", f"b\0remote-user: {CLAIM}")],
        "colon in a name": [(f"remote-user: {CLAIM}", "x")],
        "plain": [("remote-user", CLAIM)],
        "underscore": [("remote_user", CLAIM)],
        "token": [("mergepoint-identity", CLAIM)],
        "call of the edge": [("mergepoint-call", "refresh")],
        "connection": [("connection", "remote-user"), ("remote-user", CLAIM)],
        "cookies in pieces": [("cookie", "mergepoint-session"), ("cookie", f"={CLAIM}")],
        "cookies twice": [("cookie", f"mergepoint-session={CLAIM}")] * 2,
        "host beside authority": [("host", f"{CLAIM}@127.0.0.1")],
        "authorization twice": [("authorization", f"Bearer {CLAIM}")] * 2,
    }


def ask(port: int, path: str, extra: Fields) -> bytes:
    """Return the body of an answer with 200; nothing when it was refused in whatever way."""
    config = H2Configuration(
        client_side=True,
        header_encoding="utf-8",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    connection = H2Connection(config)
    usual = [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path)]
    pseudo = [field for field in extra if field[0].startswith(":")]
    rest = [field for field in extra if not field[0].startswith(":")]
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX) as sock:
        connection.initiate_connection()
        connection.send_headers(1, usual + pseudo + rest, end_stream=True)
        sock.sendall(connection.data_to_send())
        with contextlib.suppress(OSError):
            return _answer(sock, connection)
    return b""


def _answer(sock: socket.socket, connection: H2Connection) -> bytes:
    status, body = "", b""
    while data := sock.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                status = dict(event.headers)[":status"]
            elif isinstance(event, DataReceived):
                body += event.data
            elif isinstance(event, StreamEnded):
                return body if status == "200" else b""
            elif isinstance(event, StreamReset | ConnectionTerminated):
                return b""
        sock.sendall(connection.data_to_send())
    return b""
