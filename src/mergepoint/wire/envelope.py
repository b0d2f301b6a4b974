"""The envelope every message travels in: CloudEvents 1.0, whatever carries it.

Place:  bus.doorway -> [wire.envelope] -> bus.adapters, and anybody who reads CloudEvents
Rule:   standard library alone; what was read is what was written, unknown attributes included.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SPEC_VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
"""The content type of an envelope and its data in one JSON document."""
HEADER_PREFIX = "ce-"
"""What attributes are called where the carrier has headers (HTTP and NATS bindings)."""
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
"""CloudEvents 1.0, section 3.1: lower-case letters and digits."""
RESERVED = frozenset(
    ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data")
)
ATTRIBUTE_BYTES_MAX = 4096


class EnvelopeInvalid(ValueError):
    """These bytes or headers are no CloudEvents 1.0 envelope; the message names the attribute."""


@dataclass(frozen=True)
class Message:
    """One message: who it is from, what it is, and its bytes.

    `id` is unique for `source` and is what duplicates are known by. `type` is the topic, queue or
    address it was sent to. `time` is RFC 3339. Mergepoint's own `extensions` are `mpkey`,
    `mprequestid`, `traceparent`, `mpidentity`, `mplanguage`, `mpdeadline` (Unix seconds).
    """

    id: str
    source: str
    type: str
    data: bytes = b""
    datacontenttype: str = "application/json"
    time: str = ""
    subject: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)

    def with_extensions(self, **changes: str) -> Message:
        """Return a copy with these extensions set; an empty text removes one."""
        merged = {**self.extensions, **changes}
        return replace(self, extensions={name: text for name, text in merged.items() if text})


def to_attributes(message: Message) -> dict[str, str]:
    """Return every attribute but the data, by its CloudEvents name; empty ones are left out."""
    attributes = {
        "specversion": SPEC_VERSION,
        "id": message.id,
        "source": message.source,
        "type": message.type,
        "datacontenttype": message.datacontenttype,
        "time": message.time,
        "subject": message.subject,
        **message.extensions,
    }
    for name, text in attributes.items():
        if ATTRIBUTE.fullmatch(name) is None:
            raise EnvelopeInvalid(f"attribute {name!r}: only a-z and 0-9, 20 at most")
        if len(text.encode()) > ATTRIBUTE_BYTES_MAX:
            raise EnvelopeInvalid(f"attribute {name}: over {ATTRIBUTE_BYTES_MAX} bytes")
    return {name: text for name, text in attributes.items() if text}


def from_attributes(attributes: Mapping[str, Any], data: bytes) -> Message:
    """Return the message; raise `EnvelopeInvalid` when one of the required four is missing."""
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise EnvelopeInvalid(f"attribute {name} is missing or no text")
    if attributes["specversion"] != SPEC_VERSION:
        raise EnvelopeInvalid(
            f"specversion {attributes['specversion']!r}; this reads {SPEC_VERSION}"
        )
    extensions = {
        name: _text(value)
        for name, value in attributes.items()
        if name not in RESERVED and ATTRIBUTE.fullmatch(name)
    }
    return Message(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        data=data,
        datacontenttype=_text(attributes.get("datacontenttype", "")),
        time=_text(attributes.get("time", "")),
        subject=_text(attributes.get("subject", "")),
        extensions=extensions,
    )


def to_headers(message: Message) -> dict[str, str]:
    """Return the binary mode's headers: `ce-id` and so on, and `content-type`."""
    attributes = to_attributes(message)
    content_type = attributes.pop("datacontenttype", "")
    headers = {HEADER_PREFIX + name: text for name, text in attributes.items()}
    return {**headers, "content-type": content_type} if content_type else headers


def from_headers(headers: Mapping[str, str], data: bytes) -> Message:
    """Return the message of a binary mode's headers, names in any case."""
    lowered = {name.lower(): text for name, text in headers.items()}
    attributes = {
        name[len(HEADER_PREFIX) :]: text
        for name, text in lowered.items()
        if name.startswith(HEADER_PREFIX)
    }
    attributes["datacontenttype"] = lowered.get("content-type", "")
    return from_attributes(attributes, data)


def to_document(message: Message) -> bytes:
    """Return the structured mode: one JSON document (CloudEvents JSON format 1.0)."""
    document: dict[str, Any] = dict(to_attributes(message))
    if message.datacontenttype == "application/json":
        # JSON that is in the data goes in as it is, so that any reader sees a value, not a text.
        return _with_json(document, message.data)
    document["data_base64"] = base64.b64encode(message.data).decode()
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def from_document(document: bytes) -> Message:
    """Return the message of one JSON document; raise `EnvelopeInvalid`."""
    try:
        attributes = json.loads(document)
    except ValueError as error:
        raise EnvelopeInvalid(f"no JSON document: {error}") from None
    if not isinstance(attributes, dict):
        raise EnvelopeInvalid("a CloudEvents document is a JSON object")
    if "data_base64" in attributes:
        try:
            data = base64.b64decode(attributes.pop("data_base64"), validate=True)
        except (TypeError, ValueError):
            raise EnvelopeInvalid("data_base64 is no base64") from None
    elif "data" in attributes:
        value = attributes.pop("data")
        data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        attributes.setdefault("datacontenttype", "application/json")
    else:
        data = b""
    return from_attributes(attributes, data)


def _with_json(document: Mapping[str, Any], data: bytes) -> bytes:
    head = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return head[:-1] + b',"data":' + data + b"}" if data else head


def _text(value: object) -> str:
    """Attributes are texts for us; CloudEvents allows booleans and integers too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
