"""What travels over XMPP: the address of a site's account, and messages that are safe in XML.

Place:  bus.adapters.xmpp* -> [xmpp_stanza]
Rule:   pure; attributes and data are base64, for XML has no room for most bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement

from mergepoint.bus.adapters.roster import Sign, from_bytes, to_bytes
from mergepoint.bus.errors import BusRefused
from mergepoint.wire.envelope import EnvelopeInvalid, Message, from_attributes, to_attributes

OWN = "urn:mergepoint:bus"
PUBSUB, EVENT = "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/pubsub#event"
NODE_CONFIG = f"{PUBSUB}#node_config"
MESSAGE_BYTES_MAX = 64 * 1024
"""Servers refuse stanzas somewhere above (Prosody: 256 KiB); base64 makes three bytes four."""
PORT = 5222
_OPTIONS = ("prefix", "pubsub", "tls")


@dataclass(frozen=True)
class Settings:
    """`xmpp://account:password@host:5222/domain?prefix=mp&pubsub=pubsub.domain`.

    Without a domain it is the host. TLS is demanded unless the host is this machine, or
    `tls=no` says that the network between is as good.
    """

    host: str
    port: int
    account: str
    password: str
    pubsub: str
    prefix: str
    tls: bool

    @property
    def domain(self) -> str:
        """The server's name in addresses."""
        return self.account.partition("@")[2]


def settings_of(url: str) -> Settings:
    """Return what the URL says; raise `BusRefused` that names what is wrong."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := set(options) - set(_OPTIONS):
        raise BusRefused(f"xmpp: unknown option {min(unknown)!r}; known: {', '.join(_OPTIONS)}")
    try:
        port = parts.port or PORT
    except ValueError:
        raise BusRefused("xmpp: the port of the URL is no number") from None
    host, user = parts.hostname or "", unquote(parts.username or "")
    if not host or not user or not parts.password:
        raise BusRefused(
            "xmpp: the URL names no host, account or password",
            next="xmpp://site:password@host:5222/domain",
        )
    domain = parts.path.strip("/") or host
    return Settings(
        host=host,
        port=port,
        account=f"{user}@{domain}",
        password=unquote(parts.password),
        pubsub=options.get("pubsub", f"pubsub.{domain}"),
        prefix=options.get("prefix", "mp"),
        tls=options.get("tls", "no" if host in ("127.0.0.1", "::1", "localhost") else "yes")
        != "no",
    )


def packed(message: Message, **marks: str) -> Element:
    """Return the message as an element of ours."""
    attributes = json.dumps(to_attributes(message), separators=(",", ":")).encode()
    element = Element(f"{{{OWN}}}m", marks)
    element.text = f"{_encoded(attributes)}.{_encoded(message.data)}"
    return element


def unpacked(element: Element | None) -> Message | None:
    """Return the message of an element; None when it is none of ours."""
    if element is None or element.tag != f"{{{OWN}}}m":
        return None
    head, _, data = (element.text or "").strip().partition(".")
    try:
        return from_attributes(json.loads(base64.b64decode(head)), base64.b64decode(data))
    except (ValueError, AttributeError, EnvelopeInvalid, binascii.Error):
        return None


@dataclass(frozen=True)
class Here:
    """What a process tells with its presence: who it is, and what it serves."""

    signs: tuple[Sign, ...] = ()
    serves: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """What a person's chat client shows."""
        return ", ".join(sign.member.address for sign in self.signs) or "on the bus"


def here_element(here: Here) -> Element:
    """Return it as an element of a presence."""
    told = {
        "signs": [to_bytes(sign).decode() for sign in here.signs],
        "serves": list(here.serves),
    }
    element = Element(f"{{{OWN}}}here")
    element.text = _encoded(json.dumps(told).encode())
    return element


def here_of(element: Element | None) -> Here | None:
    """Return what a presence tells; None when it is not one of ours."""
    if element is None:
        return None
    try:
        told: Mapping[str, Any] = json.loads(base64.b64decode(element.text or ""))
        signs = (from_bytes(str(one).encode()) for one in told["signs"])
        return Here(
            tuple(sign for sign in signs if sign is not None),
            tuple(str(one) for one in told["serves"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


def creation(node: str, **config: str) -> Element:
    """Return the request to make a node."""
    root = Element(f"{{{PUBSUB}}}pubsub")
    SubElement(root, f"{{{PUBSUB}}}create", node=node)
    form = SubElement(SubElement(root, f"{{{PUBSUB}}}configure"), "{jabber:x:data}x", type="submit")
    told = {"FORM_TYPE": NODE_CONFIG, **{f"pubsub#{name}": text for name, text in config.items()}}
    for name, text in told.items():
        field = SubElement(form, "{jabber:x:data}field", var=name)
        SubElement(field, "{jabber:x:data}value").text = text
    return root


def subscription(node: str, jid: str, verb: str = "subscribe") -> Element:
    """Return the request to subscribe an address to a node, or to end that."""
    root = Element(f"{{{PUBSUB}}}pubsub")
    SubElement(root, f"{{{PUBSUB}}}{verb}", node=node, jid=jid)
    return root


def publication(node: str, item: str, payload: Element) -> Element:
    """Return the request to publish an item; an empty name lets the server choose one."""
    root = Element(f"{{{PUBSUB}}}pubsub")
    publish = SubElement(root, f"{{{PUBSUB}}}publish", node=node)
    named = {"id": item} if item else {}
    SubElement(publish, f"{{{PUBSUB}}}item", named).append(payload)
    return root


def items_request(node: str, item: str = "") -> Element:
    """Return the request for the items of a node, or for one."""
    root = Element(f"{{{PUBSUB}}}pubsub")
    items = SubElement(root, f"{{{PUBSUB}}}items", node=node)
    if item:
        SubElement(items, f"{{{PUBSUB}}}item", id=item)
    return root


def alert_text(message: Message) -> str:
    """Return what a person reads of an alert: a JSON text, the `text` of an object, or all."""
    raw = message.data.decode(errors="replace")
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    return value if isinstance(value, str) else raw


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
