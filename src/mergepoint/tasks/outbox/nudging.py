"""Tell the relay that something was committed: one datagram, which may be lost.

Place:  outbox.find -> [outbox.nudging] -> a Unix socket of whoever relays
Rule:   never waits, never fails: the relay looks by itself as well, only later.

Where a library says that a transaction has ended, the relay is told then; where none does, it is
told when the row is written, and looks often enough from there on to see a commit soon after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOCKET = "outbox.sock"
"""Beside the socket of the hub, which every process of a site knows."""
SOCKET_MODE = 0o600
DATAGRAM_BYTES_MAX = 16
ROUND_MAX = 1000
"""Datagrams that are read at once; all of them say the same."""


class _Nudge:
    """Where the relay of this process's site listens, and our end of that."""

    def __init__(self) -> None:
        self.path = ""
        self._socket: socket.socket | None = None

    def send(self) -> None:
        """Send one datagram; what cannot be sent at once is not sent."""
        if not self.path:
            return
        try:
            if self._socket is None:
                kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                self._socket = socket.socket(socket.AF_UNIX, kind)
            self._socket.sendto(b"c", self.path)
        except OSError:
            pass  # nobody relays here, or so many said so already that there is no room


_nudge = _Nudge()
_waiting: weakref.WeakSet[Any] = weakref.WeakSet()
"""Sessions and Connections of SQLAlchemy with rows that are not committed yet."""
_listening: list[bool] = []


def reach(path: str) -> None:
    """Say where the relay listens; empty: nowhere that we can reach."""
    _nudge.path = path


def arrange(joined: Any) -> None:  # Any: `Joined` of every library
    """Let the relay be told once this transaction has committed, or now where nobody would say."""
    if not _nudge.path:
        return
    if hasattr(joined, "target"):
        _listen_to_sqlalchemy()
        _waiting.add(joined.target)
        return
    django = sys.modules.get("django.db")
    if django is not None and getattr(joined.connection, "in_atomic_block", False) is True:
        joined.connection.on_commit(_nudge.send)
        return
    _nudge.send()


def _listen_to_sqlalchemy() -> None:
    if _listening:
        return
    _listening.append(True)
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session

    def ended(session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            said(session)

    def said(thing: Any) -> None:
        if thing in _waiting:
            _waiting.discard(thing)
            _nudge.send()

    event.listen(Session, "after_transaction_end", ended)
    # A Connection tells only that it is about to commit; the relay's next looks follow closely.
    event.listen(Engine, "commit", said)


@contextlib.contextmanager
def listening(path: Path, user: str, wake: Callable[[], None]) -> Iterator[None]:
    """Call `wake` whenever somebody has committed; of `user` (empty: ours) alone.

    Within a running event loop. Raises `OSError`, and `KeyError` for no such user.
    """
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        old = os.umask(0o777 & ~SOCKET_MODE)
        try:
            heard.bind(str(path))
        finally:
            os.umask(old)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

        def read() -> None:
            with contextlib.suppress(OSError):
                for _ in range(ROUND_MAX):
                    heard.recv(DATAGRAM_BYTES_MAX)
            wake()

        loop = asyncio.get_running_loop()
        loop.add_reader(heard, read)
        try:
            yield
        finally:
            loop.remove_reader(heard)
            path.unlink(missing_ok=True)
