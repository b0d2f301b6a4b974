"""What a site says about databases whose changes are followed, resolved.

Place:  manifest.resolve_databases -> [manifest.databases] -> manifest.site, assembly, cli
Rule:   frozen data only; a database's URL is never in a repr, it may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergepoint.manifest.messages import EngineUrl
from mergepoint.manifest.origin import Origin


@dataclass(frozen=True, slots=True)
class Followed:
    """One `[[databases]]`: its triggers write a log, the hub reads it."""

    name: str
    url: EngineUrl
    """A file by its absolute path, or PostgreSQL's own form."""
    tables: tuple[str, ...] = ()
    """Whose changes are logged; empty: of all tables."""
    ignore: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    """Who is told its address; empty: every app that runs as the site's own user."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns by table whose values make tags of their own, beside the primary key."""
    origin: Origin = field(default_factory=lambda: Origin("", 0))
