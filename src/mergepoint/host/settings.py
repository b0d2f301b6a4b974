"""What one worker was told by its environment, checked.

Place:  host.boot -> [host.settings] -> host.start
Rule:   the only reader of the environment in the host; docs/reference/contracts.md section 3.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERFACES = ("wsgi", "asgi")
PREFIX_MODES = ("host", "strip", "keep")
TRANSACTIONS = ("request", "read-only-get")
LOOP_BLOCK_S = 0.5
THREADS_MAX = 1024
IDLE_S = 86400
"""How long servers keep an idle connection: longer than the edge, which decides when one ends."""
MEMBERS_MAX = 256
HEADER_BYTES_MAX = 1 << 17
"""What servers take in one request head: more than the edge ever sends, which is the one to refuse.

An identity alone may have 16 KiB, and some servers stop at 8.
"""


class SettingsRefused(Exception):
    """The environment does not describe a worker; the text says which variable and why."""


class Member(NamedTuple):
    """One app of a `together` worker, below `path` of the mount."""

    path: str
    target: str
    interface: str
    factory: bool


class Settings(NamedTuple):
    """Everything a worker knows about itself; seconds and bytes are in the names."""

    app: str
    slot: str
    mode: str
    socket: str
    port: int
    address: str
    mount: str
    interface: str
    target: str
    factory: bool
    members: tuple[Member, ...]
    server: str
    threads: int
    directory: str
    backlog: int
    prefix: str
    request_timeout_s: float
    loop_block_s: float
    bus: bool = False
    """Whether the site has a bus, whose messages say which request they were made in."""
    transactions: str = ""
    """Whether each request is one transaction of `site.data`: `request`, `read-only-get`; or no."""
    cache: Mapping[str, Any] = MappingProxyType({})
    """How its answers are kept, where the edge needs to know what they were made from."""
    databases: bool = False
    """Whether the site names databases, whose queries are watched in development."""

    @property
    def development(self) -> bool:
        """Tell whether error pages may show source lines."""
        return self.mode == "development"

    @property
    def trusts_headers(self) -> bool:
        """Tell whether only the edge can be speaking: on a socket of this user, not on a port."""
        return bool(self.socket)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the checked settings; raise `SettingsRefused` naming the variable that is wrong."""
    told = _object(environ, "MERGEPOINT_HOST")
    members = tuple(_member(entry) for entry in _list(told, "members"))
    port = int(_number(environ, "PORT", 0.0))
    socket = environ.get("MERGEPOINT_SOCKET", "")
    if not socket and not port:
        raise SettingsRefused("neither MERGEPOINT_SOCKET nor PORT says where to listen")
    interface = str(told.get("interface", "wsgi"))
    if members:
        interface = "asgi" if any(m.interface == "asgi" for m in members) else "wsgi"
    _one_of("interface", interface, INTERFACES)
    prefix = str(told.get("prefix", "host"))
    _one_of("prefix", prefix, PREFIX_MODES)
    target = str(told.get("target", ""))
    if not target and not members:
        raise SettingsRefused("MERGEPOINT_HOST names neither a target nor members")
    return Settings(
        app=environ.get("MERGEPOINT_APP", "app"),
        slot=environ.get("MERGEPOINT_SLOT", "0"),
        mode=environ.get("MERGEPOINT_MODE", "production"),
        socket=socket,
        port=port,
        address=environ.get("HOST") or "127.0.0.1",
        mount=environ.get("MERGEPOINT_MOUNT", "").rstrip("/"),
        interface=interface,
        target=target,
        factory=bool(told.get("factory", False)),
        members=members,
        server=str(told.get("server") or "granian"),
        threads=min(THREADS_MAX, max(1, int(told.get("threads") or 1))),
        directory=str(told.get("directory") or "."),
        backlog=max(1, int(told.get("backlog") or 128)),
        prefix=prefix,
        request_timeout_s=_number(environ, "MERGEPOINT_REQUEST_TIMEOUT_S", 0.0),
        loop_block_s=_number(environ, "MERGEPOINT_LOOP_BLOCK_S", LOOP_BLOCK_S),
        bus=bool(environ.get("MERGEPOINT_BUS")),
        transactions=_transactions(environ.get("MERGEPOINT_TRANSACTIONS", "")),
        cache=_object(environ, "MERGEPOINT_CACHE") if environ.get("MERGEPOINT_CACHE") else {},
        databases=bool(environ.get("MERGEPOINT_DATABASES")),
    )


def _object(environ: Mapping[str, str], variable: str) -> Mapping[str, Any]:
    text = environ.get(variable, "")
    if not text:
        raise SettingsRefused(f"{variable} is not set; a worker is started by mergepoint")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsRefused(f"{variable} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SettingsRefused(f"{variable} is not a JSON object")
    return value


def _list(told: Mapping[str, Any], key: str) -> list[Any]:
    value = told.get(key) or []
    if not isinstance(value, list) or len(value) > MEMBERS_MAX:
        raise SettingsRefused(f"{key} is not a list of at most {MEMBERS_MAX}")
    return value


def _member(entry: Any) -> Member:
    try:
        member = Member(
            path="/" + str(entry["path"]).strip("/"),
            target=str(entry["target"]),
            interface=str(entry.get("interface", "wsgi")),
            factory=bool(entry.get("factory", False)),
        )
    except (TypeError, KeyError, AttributeError):
        raise SettingsRefused(f"a member needs path and target, not {entry!r}") from None
    _one_of("interface of member " + member.path, member.interface, INTERFACES)
    return member


def _transactions(told: str) -> str:
    if told:
        _one_of("MERGEPOINT_TRANSACTIONS", told, TRANSACTIONS)
    return told


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsRefused(f"{name} is {value!r}, not one of {', '.join(allowed)}")


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingsRefused(f"{name} is {text!r}, not a number") from None
    if not 0 <= value < 1e9:
        raise SettingsRefused(f"{name} is {text!r}, not between 0 and 1e9")
    return value
