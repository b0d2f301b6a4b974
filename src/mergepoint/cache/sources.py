"""Which database of the site a connection of an app leads to.

Place:  cache.sqlite, cache.postgres -> [cache.sources]
Rule:   in doubt it is none of them; a wrong name would let an old answer live.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LOCAL = {"localhost", "127.0.0.1", "::1"}
POSTGRES_PORT = 5432


@dataclass(frozen=True)
class Source:
    """One database whose changes are logged."""

    name: str
    place: tuple[str, ...]
    """`("sqlite", file)` or `("postgresql", host, port, database)`."""
    ignore: frozenset[str] = frozenset()
    """Tables that are on no page: reads and writes of them are not looked at."""


class Sources:
    """All of them, found by where a connection leads."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._by_place = {source.place: source for source in sources}

    def __len__(self) -> int:
        return len(self._by_place)

    def of_file(self, path: str) -> Source | None:
        """Return the source that is this SQLite file."""
        return self._by_place.get(("sqlite", os.path.realpath(path))) if path else None

    def of_server(self, host: str, port: int | str, database: str) -> Source | None:
        """Return the source that is this PostgreSQL database; `host` may be a socket directory."""
        return self._by_place.get(postgres_place(host, port, database))


def sources_of(entries: Iterable[Any]) -> Sources:
    """Return what `databases` of `MERGEPOINT_CACHE` names; what cannot be read names nothing."""
    found = (_source(entry) for entry in entries if isinstance(entry, dict))
    return Sources(source for source in found if source is not None)


def _source(entry: Mapping[str, Any]) -> Source | None:
    name, url = str(entry.get("name", "")), str(entry.get("url", ""))
    place = place_of(url)
    ignore = frozenset(map(str, entry.get("ignore") or ()))
    return Source(name, place, ignore) if name and place else None


def place_of(url: str) -> tuple[str, ...] | None:
    """Return where an address leads, None for engines without a feed."""
    parts = urlsplit(url)
    engine = parts.scheme.partition("+")[0]
    if engine == "sqlite":
        path = unquote(parts.path)
        return ("sqlite", os.path.realpath(path[1:] if path.startswith("//") else path))
    if engine in {"postgresql", "postgres"}:
        asked = parse_qs(parts.query)
        host = parts.hostname or asked.get("host", [""])[0]
        port = parts.port or asked.get("port", [POSTGRES_PORT])[0]
        return postgres_place(unquote(host), port, unquote(parts.path.lstrip("/")))
    return None


def postgres_place(host: str, port: int | str, database: str) -> tuple[str, ...]:
    """Return one spelling for one server. Pure."""
    host = "localhost" if host in LOCAL else host
    return ("postgresql", host, str(port), database)
