"""A client that sends exactly the bytes it is given and reads what comes back.

Place:  conformance tests -> [raw] -> the edge
Rule:   no repair: what is sent is what a hostile client would send.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from dataclasses import dataclass

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything the server sent back, and whether it closed the connection."""

    raw: bytes
    closed: bool

    @property
    def statuses(self) -> tuple[int, ...]:
        """Return the final status codes in order; interim 1xx answers are left out."""
        found = [int(code) for code in STATUS.findall(self.raw)]
        return tuple(code for code in found if code >= 200)

    @property
    def accepted(self) -> int:
        """Return how many requests were answered below 400."""
        return sum(code < 400 for code in self.statuses)


def exchange(
    port: int,
    payload: bytes,
    *,
    first_s: float = 1.0,
    quiet_s: float = 0.3,
    total_s: float = 5.0,
    host: str = "127.0.0.1",
) -> Answer:
    """Send `payload`; wait `first_s` for an answer, read until it closes or is quiet `quiet_s`."""
    raw = b""
    deadline = time.monotonic() + total_s
    with socket.create_connection((host, port), timeout=total_s) as sock:
        with contextlib.suppress(OSError):  # refused half-way: the answer is still there to read
            sock.sendall(payload)
        while time.monotonic() < deadline:
            sock.settimeout(quiet_s if raw else min(total_s, max(quiet_s, first_s)))
            try:
                data = sock.recv(65536)
            except TimeoutError:
                return Answer(raw, closed=False)
            except OSError:
                return Answer(raw, closed=True)
            if not data:
                return Answer(raw, closed=True)
            raw += data
    return Answer(raw, closed=False)
