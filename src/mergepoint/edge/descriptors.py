"""Receive listening sockets from a running edge, so that a new supervisor keeps the same port.

Place:  edge.control -> [edge.descriptors]
Rule:   blocking, on a connection of its own, with a deadline; a descriptor is returned or closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from mergepoint.core.errors import EdgeRefused, EdgeUnreachable

ANSWER_BYTES_MAX = 64 << 10
DESCRIPTORS_MAX = 64

_CLOSED_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def receive_listeners(path: Path, timeout_s: float) -> dict[str, int]:
    """Return descriptors by listener name; the caller owns and closes them.

    Blocks for `timeout_s` at most. Raise `EdgeUnreachable` when no answer came, and `EdgeRefused`
    when the edge would not hand them over.
    """
    descriptors: list[int] = []
    try:
        answer = _exchange(path, timeout_s, descriptors)
        names = _names(answer)
        return _paired(names, descriptors)
    except BaseException:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        raise


def _paired(names: list[str], descriptors: list[int]) -> dict[str, int]:
    if len(names) != len(descriptors) or len(set(names)) != len(names):
        raise EdgeUnreachable(
            f"the edge named {len(names)} listeners and sent {len(descriptors)} descriptors"
        )
    return dict(zip(names, descriptors, strict=True))


def _exchange(path: Path, timeout_s: float, descriptors: list[int]) -> Any:
    deadline_s = time.monotonic() + timeout_s
    received = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout_s)
            channel.connect(str(path))
            channel.sendall(b'{"id": 1, "verb": "listeners"}\n')
            while not received.endswith(b"\n"):
                channel.settimeout(max(0.001, deadline_s - time.monotonic()))
                data, found, _, _ = socket.recv_fds(
                    channel, 16384, DESCRIPTORS_MAX, _CLOSED_ON_EXEC
                )
                descriptors += found
                for descriptor in found:
                    os.set_inheritable(descriptor, False)
                received += data
                if not data or len(received) > ANSWER_BYTES_MAX:
                    raise EdgeUnreachable("the edge did not finish its answer to listeners")
        return json.loads(received)
    except (OSError, ValueError) as error:
        raise EdgeUnreachable(f"the edge did not hand over its listeners: {error}") from None


def _names(answer: Any) -> list[str]:
    if not isinstance(answer, dict):
        raise EdgeUnreachable("the edge's answer to listeners is no JSON object")
    if answer.get("ok") is not True:
        error = answer.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        raise EdgeRefused(f"listeners: {message or 'refused without a reason'}")
    names = answer.get("names")
    if not isinstance(names, list):
        raise EdgeUnreachable("the edge's answer to listeners has no names")
    return [str(name) for name in names]
