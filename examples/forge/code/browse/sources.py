"""Where repositories may be imported from, and what they are called here.

Place:  settings, imports -> [sources]
Rule:   decides by text and resolved paths alone; every refusal is a sentence for whoever typed it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

SOURCE_CHARS_MAX = 500
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TAKEN_BY_PAGES = frozenset(("api", "import"))
"""Addresses of this app that no repository can have."""


class Refused(ValueError):
    """What was typed cannot be imported; the message says why and what can."""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository to import: the URL Git is given, and the name it gets here."""

    url: str
    name: str


def read(typed: str, name: str, allowed: Sequence[str], known: Collection[str]) -> Source:
    """Return what was typed, checked against the setting and the names there are."""
    typed = typed.strip()
    if not typed:
        raise Refused("Say which repository: its URL, or its path on this machine.")
    if len(typed) > SOURCE_CHARS_MAX or not typed.isprintable():
        raise Refused(f"That is no address: it has up to {SOURCE_CHARS_MAX} plain characters.")
    url = _from_path(typed, allowed) if typed.startswith("/") else _from_url(typed, allowed)
    wanted = name.strip().lower().removesuffix(".git") or _name_of(typed)
    if not NAME.fullmatch(wanted):
        raise Refused(f"{wanted!r} is no name: small letters, digits, dots and dashes, up to 63.")
    if wanted in known or wanted in TAKEN_BY_PAGES:
        raise Refused(f"There is something called {wanted} already; give it another name.")
    return Source(url, wanted)


def _from_url(typed: str, allowed: Sequence[str]) -> str:
    parts = urlsplit(typed)
    if parts.username or parts.password:
        raise Refused("An address with a password in it would be shown to others; leave it out.")
    prefixes = [prefix for prefix in allowed if "://" in prefix]
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise Refused(f"{typed} is neither https:// nor a path. {_possible(allowed)}")
    if not any(_begins_with(typed, prefix) for prefix in prefixes):
        raise Refused(f"Nothing is imported from {parts.scheme}://{parts.hostname}. "
                      f"{_possible(allowed)}")  # fmt: skip
    return typed


def _begins_with(url: str, prefix: str) -> bool:
    """Tell whether a URL begins with a prefix, and not with a longer name of a host."""
    rest = url[len(prefix) :]
    return url.startswith(prefix) and (prefix.endswith("/") or rest[:1] in {"", "/", ":"})


def _from_path(typed: str, allowed: Sequence[str]) -> str:
    place = Path(typed).resolve()
    roots = [Path(root).resolve() for root in allowed if root.startswith("/")]
    if not any(place.is_relative_to(root) for root in roots):
        raise Refused(f"{typed} is in no directory that may be imported. {_possible(allowed)}")
    if not place.is_dir():
        raise Refused(f"{typed} is not there.")
    return "file://" + quote(str(place))


def _possible(allowed: Sequence[str]) -> str:
    return f"FORGE_IMPORT_FROM allows: {', '.join(allowed) or 'nothing'}."


def _name_of(typed: str) -> str:
    last = typed.rstrip("/").rpartition("/")[2].lower().removesuffix(".git")
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._")[:63]
