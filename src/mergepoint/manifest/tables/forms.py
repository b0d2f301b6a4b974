"""The written forms of single values: targets, mounts, affinity, services.

Place:  [manifest.tables.forms] -> manifest.tables, manifest.resolve
Rule:   pure; each parser returns plain data or raises with the form it expected.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from mergepoint.manifest.site import Balance, BalanceBy, Mount
from mergepoint.manifest.tables.amounts import refused

PATH_BYTES_MAX = 512
SEGMENTS_MAX = 16
ENV = "env:"

_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*\Z")
_TARGET = re.compile(
    r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\(.*\))?\Z"
)
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_AFFINITY_FIX = 'write "path", "path:2", "header:X-Tenant", "cookie:sid", "sticky" or "least"'


@dataclass(frozen=True, slots=True)
class Target:
    """``module:attribute``, and whether it is called to get the application."""

    text: str
    factory: bool

    @property
    def module(self) -> str:
        """The dotted module."""
        return self.text.partition(":")[0]


def database_url(text: str, otherwise: str) -> str:
    """Return the address of a SQLite file or a PostgreSQL database; refuse what is `otherwise`."""
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite" and len(rest) > 1 and rest[0] == "/" and ":memory:" not in rest:
        return text
    if scheme in {"postgresql", "postgres"} and rest:
        return text
    raise refused(
        otherwise,
        'write "sqlite:///data/app.db" or "postgresql://app:${APP_PASSWORD}@db.example.org/app"',
    )


def is_reference(text: str) -> bool:
    """Tell whether a value is written as the name of a variable: ``env:GITLAB_SECRET``."""
    return text.startswith(ENV)


def referenced(text: str) -> str:
    """Return a text as it is; raise when it begins like the name of a variable and is none."""
    if is_reference(text) and not _VARIABLE.match(text):
        raise refused("does not name a variable", 'write "env:NAME"')
    return text


def parse_target(text: str) -> Target:
    """Return the target of ``tickets:app`` or ``tickets:create_app()``; raise on any other form."""
    match = _TARGET.match(text)
    if match is None:
        raise refused(
            "is not a Python target", f'write "module:attribute", such as "{_guess(text)}"'
        )
    if match[3] is not None and match[3].strip("() "):
        raise refused(
            "a factory is called without arguments",
            f'write "{match[1]}:{match[2]}()" and read settings from the environment',
        )
    return Target(f"{match[1]}:{match[2]}", factory=match[3] is not None)


def python_target(text: str) -> str:
    """Check a target and return it as written."""
    parse_target(text)
    return text


def _guess(text: str) -> str:
    words = re.findall(r"[A-Za-z_]\w*", text.removesuffix(".py"))
    return f"{'.'.join(words)}:app" if words else "tickets:app"


def parse_path(text: str) -> str:
    """Return a clean path that begins with / and ends without it; raise when it is not a path."""
    if not _PATH.match(text) or len(text) > PATH_BYTES_MAX:
        near = f"/{text}" if _PATH.match(f"/{text}") else "/tickets"
        raise refused("is not a path", f'write "/" and letters, digits or .-_~, such as "{near}"')
    if "//" in text or {".", ".."} & {part.partition(";")[0] for part in text.split("/")}:
        raise refused("contains //, . or ..", "write the path without them")
    return text.rstrip("/") or "/"


def parse_host(text: str) -> str:
    """Return a lower-case host, ``*.example.org`` or ``*``; raise when it is none of these."""
    if text == "*":
        return text
    name = text.removeprefix("*.").rstrip(".").lower()
    try:
        plain = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        plain = ""
    if not text.startswith("*.") and re.fullmatch(r"\[.*\]|[0-9.]+", plain):
        plain = _address(plain)
    elif not (0 < len(plain) <= 253 and all(map(_LABEL.match, plain.split(".")))):
        plain = ""
    if not plain:
        raise refused("is not a host name", 'write "example.org", "*.example.org" or "*", no port')
    return f"*.{plain}" if text.startswith("*.") else plain


def _address(text: str) -> str:
    """Return an IPv4 address, or an IPv6 address in brackets in its shortest form, or nothing."""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return ""
    if text.startswith("["):
        return f"[{address}]" if address.version == 6 and "%" not in text else ""
    return str(address) if address.version == 4 else ""


def parse_redirect(text: str) -> str:
    """Return an http or https URL, or a path of this site; raise on anything else."""
    try:
        host = urlsplit(text).hostname if text.startswith(("http://", "https://")) else None
    except ValueError:
        host = None
    local = text.startswith("/") and not text.startswith("//")
    if not (host or local) or not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", text):
        fix = 'write "https://example.org/new", or a path such as "/new"'
        raise refused("is not an address to send clients to", fix)
    return text


def parse_mount(text: str) -> Mount:
    """Return the mount of ``/tickets``, ``example.org`` or ``example.org/tickets``."""
    if "://" in text:
        raise refused("is a URL, not a mount", f'write "{text.split("://", 1)[1] or "/"}"')
    if text.startswith("/"):
        return Mount(path=parse_path(text))
    host, slash, path = text.partition("/")
    if "." not in host and host not in {"localhost", "*"} and not host.startswith("["):
        fix = f'write "/{text}", or a host such as "example.org"'
        raise refused("is neither a path nor a host", fix)
    return Mount(path=parse_path(slash + path or "/"), host=parse_host(host))


def parse_affinity(text: str) -> Balance:
    """Return how requests choose a slot; raise when `text` is no affinity."""
    kind, colon, name = text.partition(":")
    if not colon and kind in {"least", "path", "sticky"}:
        return Balance(by=BalanceBy(kind))
    if kind == "path" and name.isascii() and name.isdigit() and 1 <= int(name) <= SEGMENTS_MAX:
        return Balance(by=BalanceBy.PATH, segments=int(name))
    if kind in {"header", "cookie"} and _TOKEN.match(name):
        return Balance(by=BalanceBy(kind), name=name.lower() if kind == "header" else name)
    raise refused("is not an affinity", _AFFINITY_FIX)


def parse_service(text: str) -> str:
    """Return ``http://host:port`` of a service that runs elsewhere; raise on any other form."""
    fix = 'write "http://127.0.0.1:9000"'
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise refused("is not the address of a service", fix) from None
    if url.scheme == "https":
        raise refused("the edge speaks plain HTTP to services", "put a local TLS tunnel before it")
    if url.scheme != "http" or not url.hostname or "@" in url.netloc or port == 0:
        raise refused("is not the address of a service", fix)
    if url.path not in ("", "/") or url.query or url.fragment:
        raise refused("a service has no path; the mount is set by `at` and `prefix`", fix)
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    try:
        host = parse_host(name)
    except PydanticCustomError:
        host = "*"
    if host.startswith("*"):
        raise refused("is not the address of a service", fix)
    return f"http://{host}:{port or 80}"
