"""What travels over ZeroMQ: endpoints, frames, and which prefix a pattern is subscribed by.

Place:  bus.adapters.zeromq* -> [zeromq_wire]
Rule:   pure; a topic's frame ends with a NUL, so that no name is the beginning of another.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mergepoint.bus.errors import BusRefused
from mergepoint.wire.envelope import EnvelopeInvalid, Message, from_attributes, to_attributes

PING, PONG, BYE = b"ping", b"pong", b"bye"
PUBLISH, SERVE, UNSERVE, ASK, DO, DONE = b"pub", b"serve", b"unserve", b"ask", b"do", b"done"
COUNTS = b"counts"
ANSWER, OK, FAILED, BUSY, NOBODY, GONE = b"answer", b"ok", b"failed", b"busy", b"nobody", b"gone"
END = b"\0"
ECHO, PRESENCE, TOPIC = b"\x02", b"\x03", b"\x04"
"""What the first byte of what is fed out says it is."""
SOCKET_PATH_BYTES_MAX = 100
"""Of a Unix socket's address (108 on Linux, 104 elsewhere), with the end we put behind it."""
PORT_MAX = 65_534


@dataclass(frozen=True)
class Endpoints:
    """Where the relay listens: `ask` is spoken to, `feed` is listened to."""

    ask: str
    feed: str
    directory: Path | None = None
    """Of the sockets, for `zmq+ipc`."""
    shown: str = ""


def endpoints_of(url: str) -> Endpoints:
    """Return what the URL says; raise `BusRefused` that names what is wrong.

    `zmq+ipc:///directory`, or `zmq+tcp://127.0.0.1:7450`, which takes the next port too. Nobody
    proves who they are to ZeroMQ here, so another host needs `?trusted=yes`.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := set(options) - {"trusted"}:
        raise BusRefused(f"zeromq: unknown option {min(unknown)!r}; known is trusted")
    if parts.scheme == "zmq+ipc":
        return _of_directory(f"{parts.netloc}{parts.path}")
    try:
        port = parts.port or 0
    except ValueError:
        port = 0
    host = parts.hostname or ""
    if parts.scheme != "zmq+tcp" or not host or not 0 < port <= PORT_MAX:
        raise BusRefused(
            f"zeromq: {url!r} is no address",
            next="zmq+ipc:///run/site/bus or zmq+tcp://127.0.0.1:7450",
        )
    if not _is_loopback(host) and options.get("trusted") != "yes":
        raise BusRefused(
            f"zeromq: whoever reaches {host} could read and write everything on this bus",
            next="add ?trusted=yes where the network lets nobody else in, or use another engine",
        )
    where = f"[{host}]" if ":" in host else host
    return Endpoints(f"tcp://{where}:{port}", f"tcp://{where}:{port + 1}", None, f"{where}:{port}")


def _of_directory(path: str) -> Endpoints:
    if not path.startswith("/") or len(path.encode()) > SOCKET_PATH_BYTES_MAX - len("/feed"):
        raise BusRefused(
            f"zeromq: {path!r} is no absolute directory of at most"
            f" {SOCKET_PATH_BYTES_MAX - len('/feed')} bytes",
            next="zmq+ipc:///run/site/bus",
        )
    directory = Path(path)
    return Endpoints(f"ipc://{directory}/ask", f"ipc://{directory}/feed", directory, path)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def topic_frame(topic: str) -> bytes:
    """Return the first frame of what is published to a topic."""
    return TOPIC + topic.encode() + END


def prefix_of(pattern: str) -> bytes:
    """Return what ZeroMQ filters by; what passes may still not match the pattern."""
    segments = pattern.split(".")
    for number, segment in enumerate(segments):
        if segment in ("*", ">"):
            return TOPIC + "".join(one + "." for one in segments[:number]).encode()
    return topic_frame(pattern)


def topic_of(frame: bytes) -> str:
    """Return the topic of a first frame."""
    return frame[1:-1].decode()


def pack(message: Message) -> list[bytes]:
    """Return the envelope and the data, a frame each."""
    attributes = to_attributes(message)
    return [json.dumps(attributes, separators=(",", ":")).encode(), message.data]


def unpack(attributes: bytes, data: bytes) -> Message | None:
    """Return the message; None when this is none."""
    try:
        told = json.loads(attributes)
        return from_attributes(told, data) if isinstance(told, dict) else None
    except (ValueError, EnvelopeInvalid):
        return None
