"""What a publisher asked for over HTTP: its proof, its route and its message, or why not.

Place:  bus.gateway.server -> [bus.gateway.desk] -> bus.gateway.run
Rule:   pure; every refusal has a status, a code, words and what to do next.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from mergepoint.bus.contract import PRIORITY_MAX, PRIORITY_MIN
from mergepoint.bus.errors import BusError, BusFull, BusLost, MessageTooLarge
from mergepoint.wire.envelope import (
    HEADER_PREFIX,
    STRUCTURED,
    EnvelopeInvalid,
    Message,
    from_document,
    from_headers,
)
from mergepoint.wire.names import NameInvalid, check_name, is_own

PUBLISH, QUEUES = "publish", "queues"
QUERY_FIELDS_MAX = 16
DELAY_S_MAX = 366 * 86400.0
GUIDE = "docs/how-to/bus.md shows how to publish over HTTP"
OPTIONS: Mapping[str, frozenset[str]] = {
    PUBLISH: frozenset({"keep_last"}),
    QUEUES: frozenset({"attempts_max", "delay_s", "key", "priority"}),
}
"""What may stand behind the question mark."""


class Refused(Exception):
    """The request cannot be done; what to answer."""

    def __init__(self, status: int, code: str, message: str, next_step: str = GUIDE) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to be done: publish `message` to a topic, or put it into a queue."""

    verb: str
    name: str
    message: Message
    keep_last: bool = False
    delay_s: float = 0.0
    priority: int = 4
    key: str = ""
    attempts_max: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


def app_of(headers: Mapping[str, str], key: bytes) -> str:
    """Return the app a request proves to come from; raise `Refused`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    app, _, proof = token.strip().partition(".")
    wanted = hmac.new(key, app.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    known = scheme.lower() == "bearer" and hmac.compare_digest(proof.encode(), wanted.encode())
    if not app or not known:
        raise Refused(
            401, "bus.token", "no Authorization: Bearer with this worker's token",
            "send the value of MERGEPOINT_BUS_TOKEN",
        )  # fmt: skip
    return app


def order(asked: Asked, app: str, fresh_id: str, now: str) -> Order:
    """Return what a proven app asks for; raise `Refused`.

    The message is what the body and headers say in CloudEvents' binary or structured mode, else
    the body itself under its Content-Type, with `fresh_id` and `now` (RFC 3339). Its source is
    always the app's own.
    """
    verb, name = _route(asked)
    options = _options(urlsplit(asked.target).query, verb)
    message = _message(asked, app, name, fresh_id, now)
    return Order(
        verb, name, message,
        keep_last=options.get("keep_last", "") in {"1", "true"},
        delay_s=_number(options, "delay_s", 0.0, 0.0, DELAY_S_MAX),
        priority=int(_number(options, "priority", 4, PRIORITY_MIN, PRIORITY_MAX)),
        key=options.get("key", "")[:200],
        attempts_max=int(_number(options, "attempts_max", 0, 0, 1000)),
    )  # fmt: skip


def refusal(error: BusError) -> Refused:
    """Return the answer for what the engine refused."""
    if isinstance(error, MessageTooLarge):
        status = 413
    elif isinstance(error, BusFull | BusLost):
        status = 503
    else:
        status = 400
    return Refused(status, error.code, error.message, error.next or GUIDE)


def _route(asked: Asked) -> tuple[str, str]:
    path = urlsplit(asked.target).path
    verb, _, name = path.strip("/").partition("/")
    if verb not in OPTIONS or not name:
        raise Refused(
            404, "bus.no_route", f"no {path}; there are POST /publish/TOPIC and /queues/QUEUE"
        )
    if asked.method != "POST":
        raise Refused(405, "bus.method", f"{asked.method}; only POST hands over a message")
    try:
        check_name(unquote(name), "topic" if verb == PUBLISH else "queue")
    except NameInvalid as error:
        raise Refused(400, "bus.name", str(error)) from None
    if is_own(name):
        raise Refused(400, "bus.name", f"{name}: names that begin with mp. are Mergepoint's own")
    return verb, unquote(name)


def _options(query: str, verb: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query), max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise Refused(400, "bus.option", "what stands behind ? cannot be read") from None
    for name, _ in pairs:
        if name not in OPTIONS[verb]:
            known = ", ".join(sorted(OPTIONS[verb]))
            raise Refused(400, "bus.option", f"{name} is unknown; there are {known}")
    return dict(pairs)


def _number(
    options: Mapping[str, str], name: str, default: float, least: float, most: float
) -> float:
    text = options.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise Refused(
            400, "bus.option", f"{name} is {text[:40]!r}; {least:g} to {most:g} are possible"
        )
    return value


def _message(asked: Asked, app: str, name: str, fresh_id: str, now: str) -> Message:
    headers = asked.headers
    content_type = headers.get("content-type", "application/octet-stream")
    own = {"source": f"/{app}", "type": name}
    try:
        if content_type.partition(";")[0].strip().lower() == STRUCTURED:
            message = from_document(asked.body)
        else:
            envelope = {k: v for k, v in headers.items() if k.startswith(HEADER_PREFIX)}
            given = {f"{HEADER_PREFIX}{key}": text for key, text in own.items()}
            usual = {"ce-specversion": "1.0", "ce-id": fresh_id, "ce-time": now}
            told = {**usual, **envelope, **given, "content-type": content_type}
            message = from_headers(told, asked.body)
    except EnvelopeInvalid as error:
        raise Refused(400, "bus.envelope", str(error)) from None
    # Nobody speaks in another app's name, or to a topic that the path does not say.
    return Message(
        id=message.id, source=own["source"], type=own["type"], data=message.data,
        datacontenttype=message.datacontenttype, time=message.time or now,
        subject=message.subject, extensions=_extensions(message, headers, app),
    )  # fmt: skip


def _extensions(message: Message, headers: Mapping[str, str], app: str) -> dict[str, str]:
    """Return the message's extensions with the context of the request it was made in.

    Whose request that was only the edge can prove: a claim of the publisher is dropped.
    """
    kept = {k: v for k, v in message.extensions.items() if k not in {"mpidentity", "mpapp"}}
    if "traceparent" not in kept and headers.get("traceparent"):
        kept["traceparent"] = headers["traceparent"]
    if "mprequestid" not in kept and headers.get("x-request-id"):
        kept["mprequestid"] = headers["x-request-id"]
    return {**kept, "mpapp": app}
