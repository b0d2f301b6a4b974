"""How messages, names and settings look on NATS: subjects, headers, stream configurations.

Place:  bus.adapters.nats* -> [nats_wire]
Rule:   pure; what a server is told and what it answers is decided here, sent elsewhere.

CloudEvents travel in binary mode: attributes are headers `ce-...`, percent-encoded as the HTTP
binding of CloudEvents 1.0 (section 3.1.3.2) has it, the payload is the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from mergepoint.bus.contract import Limits, Put
from mergepoint.bus.errors import BusRefused
from mergepoint.wire.envelope import EnvelopeInvalid, Message, from_headers, to_headers

HEADER_BYTES = 16 * 1024
"""What is kept free of the server's `max_payload` for headers, which count in it."""
SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
NANOSECONDS = 1_000_000_000
PUBLISHER, SEQUENCE, KEPT = "mp-publisher", "mp-sequence", "mp-kept"
DUE, EXPIRES, ATTEMPTS_MAX = "mp-due", "mp-expires", "mp-attempts-max"
MESSAGE_ID, EXPECTED = "Nats-Msg-Id", "Nats-Expected-Last-Subject-Sequence"
TOPICS_DEDUPE_S_MAX = 120.0
_PREFIX = re.compile(r"[a-zA-Z0-9_-]{1,32}")
_OPTIONS = ("prefix", "replicas", "sync")


@dataclass(frozen=True)
class Settings:
    """What the URL says: `nats://user:password@host:4222?prefix=mp&replicas=1&sync=always`.

    Several servers of one cluster are joined by commas. `sync=always` is the operator's word that
    every server has `jetstream { sync_interval: always }`: no client can ask for that.
    """

    servers: tuple[str, ...]
    prefix: str = "mp"
    replicas: int = 1
    sync_always: bool = False

    @property
    def shown(self) -> str:
        """The servers without any secret."""
        return ", ".join(server.rpartition("@")[2].rpartition("/")[2] for server in self.servers)


def settings_of(url: str) -> Settings:
    """Return what the URL says; raise `BusRefused` that names what is wrong."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    for name in options:
        if name not in _OPTIONS:
            raise BusRefused(f"nats: unknown option {name!r}; known are {', '.join(_OPTIONS)}")
    prefix, replicas = options.get("prefix", "mp"), options.get("replicas", "1")
    if _PREFIX.fullmatch(prefix) is None:
        raise BusRefused(f"nats: prefix {prefix!r}; it is 1 to 32 of a-z A-Z 0-9 _ -")
    if replicas not in ("1", "3", "5"):
        raise BusRefused(f"nats: replicas {replicas!r}; it is 1, 3 or 5")
    if options.get("sync", "") not in ("", "always"):
        raise BusRefused(f"nats: sync {options['sync']!r}; it is always, or left out")
    who, _, hosts = parts.netloc.rpartition("@")
    servers = tuple(
        f"{parts.scheme}://{who + '@' if who else ''}{host if ':' in host else host + ':4222'}"
        for host in hosts.split(",")
        if host
    )
    if not servers:
        raise BusRefused("nats: the URL names no server", next="nats://host:4222")
    return Settings(servers, prefix, int(replicas), options.get("sync") == "always")


@dataclass(frozen=True)
class Names:
    """Subjects and streams of one site, told apart from others by the prefix."""

    prefix: str

    def topic(self, pattern: str) -> str:
        """The subject of live messages."""
        return f"{self.prefix}.t.{pattern}"

    def kept(self, pattern: str) -> str:
        """The subject of a topic's present value."""
        return f"{self.prefix}.l.{pattern}"

    def queue(self, name: str) -> str:
        """The subject of what is put into a queue."""
        return f"{self.prefix}.q.{name}"

    def dead(self, name: str) -> str:
        """The subject of a queue's dead letters."""
        return f"{self.prefix}.d.{name}"

    def fence(self, queue: str, tag: str, message: str) -> str:
        """The subject that says who has a job."""
        return f"{self.prefix}.f.{queue}.{tag}.{message}"

    def presence(self, pattern: str, id_: str = "") -> str:
        """The subject of one member's signs of life, or of all that a watch is for."""
        if pattern == "*":
            return f"{self.prefix}.h.>"
        app, _, instance = pattern.partition("/")
        if not id_ and not instance:
            return f"{self.prefix}.h.{token(app)}.>"
        return f"{self.prefix}.h.{token(app)}.{instance or '='}.{id_ or '*'}"

    def request(self, address: str) -> str:
        """The subject of requests to an app, or to one instance alone."""
        app, _, instance = address.partition("/")
        return f"{self.prefix}.r.{token(app)}" + (f".{instance}" if instance else "")

    def room(self, address: str) -> str:
        """The subject on which every server of an app is asked whether it has room."""
        return f"{self.prefix}.s.{token(address.partition('/')[0])}"

    @property
    def changed(self) -> str:
        """The subject on which a change of bindings is called out."""
        return f"{self.prefix}.x.bindings"

    def stream(self, what: str) -> str:
        """The stream of `topics`, `last`, `fence`, `dead` or `here`."""
        return f"{self.prefix}-{what}"

    def queue_stream(self, queue: str) -> str:
        """The stream of one queue."""
        return f"{self.prefix}-q-{token(queue)}"

    def queue_of(self, stream: str) -> str | None:
        """Return the queue whose stream this is."""
        head = f"{self.prefix}-q-"
        return stream.removeprefix(head).replace("=", ".") if stream.startswith(head) else None


def token(name: str) -> str:
    """Return a name as one token of a subject; `=` is in no name, so it can be read back."""
    return name.replace(".", "=")


def binding(queue: str, pattern: str) -> str:
    """Return the consumer's name of a binding."""
    return f"b={token(queue)}={sha256(pattern.encode()).hexdigest()[:16]}"


def bound_queue(consumer: str) -> str | None:
    """Return the queue of a binding's consumer."""
    if not consumer.startswith("b="):
        return None
    return consumer[2:].rpartition("=")[0].replace("=", ".")


def streams(names: Names, limits: Limits, replicas: int) -> dict[str, dict[str, Any]]:
    """Return the configuration of every stream but those of queues, by its short name."""
    dedupe_s = min(limits.dedupe_s, TOPICS_DEDUPE_S_MAX)
    silence_s = 3 * limits.heartbeat_s
    table: dict[str, dict[str, Any]] = {
        "topics": {
            "subjects": [names.topic(">")],
            "retention": "interest",
            "max_msgs": limits.queue_messages_max,
            "discard": "new",
            "duplicate_window": _ns(dedupe_s),
        },
        "last": {"subjects": [names.kept(">")], "max_msgs_per_subject": 1},
        "fence": {"subjects": [f"{names.prefix}.f.>"], "max_msgs_per_subject": 1},
        "dead": {
            "subjects": [names.dead(">")],
            "max_msgs_per_subject": limits.dead_messages_max,
            "max_age": _ns(limits.dead_s),
            "duplicate_window": _ns(min(limits.dead_s, 3600.0)),
        },
        "here": {
            "subjects": [names.presence("*")],
            "max_msgs_per_subject": 1,
            "max_age": _ns(silence_s),
            "duplicate_window": _ns(silence_s),
            "storage": "memory",
        },
    }
    return {what: _stream(names.stream(what), replicas, **told) for what, told in table.items()}


def queue_stream(names: Names, queue: str, limits: Limits, replicas: int) -> dict[str, Any]:
    """Return the configuration of a queue's stream."""
    return _stream(
        names.queue_stream(queue),
        replicas,
        subjects=[names.queue(queue)],
        retention="workqueue",
        max_msgs=limits.queue_messages_max,
        discard="new",
        duplicate_window=_ns(limits.dedupe_s),
    )


def consumer(name: str, lease_s: float, filter_subject: str = "") -> dict[str, Any]:
    """Return the configuration of a pull consumer that workers share."""
    return {
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": _ns(lease_s),
        "max_deliver": -1,
        "max_ack_pending": -1,
        "deliver_policy": "new" if filter_subject else "all",
        "replay_policy": "instant",
        **({"filter_subject": filter_subject} if filter_subject else {}),
    }


def _stream(name: str, replicas: int, **told: Any) -> dict[str, Any]:
    return {"name": name, "storage": "file", "num_replicas": replicas, **told}


def _ns(seconds: float) -> int:
    return int(seconds * NANOSECONDS)


def encode(message: Message, **more: str) -> dict[str, str]:
    """Return a message's headers; `more` are Mergepoint's own."""
    headers = {name: quote(text, safe=SAFE) for name, text in to_headers(message).items()}
    return {**headers, **more}


def decode(headers: Mapping[str, str] | None, data: bytes, subject: str, number: int) -> Message:
    """Return the message; what others sent without an envelope becomes plain bytes."""
    texts = {name: unquote(text) for name, text in (headers or {}).items()}
    try:
        return from_headers(texts, data)
    except EnvelopeInvalid:
        return Message(
            id=f"{subject}-{number}",
            source="nats",
            type=subject,
            data=data,
            datacontenttype="application/octet-stream",
        )


def put_headers(put: Put) -> dict[str, str]:
    """Return the headers of what is put, with how it wants to be treated."""
    told = {
        DUE: f"{put.not_before:.6f}" if put.not_before > 0 else "",
        EXPIRES: f"{put.expires_at:.6f}" if put.expires_at > 0 else "",
        ATTEMPTS_MAX: str(put.attempts_max) if put.attempts_max else "",
        MESSAGE_ID: put.message.id,
    }
    return {**encode(put.message), **{name: text for name, text in told.items() if text}}


def number_of(headers: Mapping[str, str] | None, name: str) -> float:
    """Return a number of a header; 0 when it is not there or none."""
    try:
        return float((headers or {}).get(name, "") or 0)
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class Delivery:
    """What a consumer says of one delivery, in the subject its answer goes to."""

    stream: str
    consumer: str
    delivered: int
    sequence: int
    stored_at: str
    """Nanoseconds; with the sequence it names a message for ever, whatever is made anew."""


def delivery_of(reply: str) -> Delivery | None:
    """Return it from `$JS.ACK...`, in the old form of 9 tokens and the new one of 11 or 12."""
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < 9:
        return None
    # The new form puts a domain and an account's hash in front of the stream.
    rest = tokens[2:] if len(tokens) == 9 else tokens[4:]
    return Delivery(rest[0], rest[1], int(rest[2]), int(rest[3]), rest[5])
