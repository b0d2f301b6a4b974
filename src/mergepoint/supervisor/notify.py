"""Tell systemd how we are, when it asked to be told.

Place:  supervisor.run -> [supervisor.notify] -> NOTIFY_SOCKET
Rule:   one datagram, never waited for; without systemd nothing happens.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping


class Notifier:
    """systemd's readiness protocol."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watchdog_us = int(environment.get("WATCHDOG_USEC", "0") or 0)
        self.watchdog_s = watchdog_us / 2e6 if watchdog_us else None
        """How often `watchdog` must be called; None when nobody watches."""

    def ready(self) -> None:
        """Say that the site serves."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Say that the site is being stopped."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Say that the loop still turns."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), socket.MSG_DONTWAIT, address)
