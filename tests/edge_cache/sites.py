"""Snapshots with a cache, for tests of the edge alone.

Place:  tests/edge_cache -> [sites] -> EdgeProcess
Rule:   the fields of contracts.md section 7; a test changes only what it is about.
"""

from __future__ import annotations

from typing import Any

from mergepoint_testkit.snapshots import pool, site

Json = dict[str, Any]


def cache(**changes: Any) -> Json:
    """Return the site's cache with its usual bounds."""
    document: Json = {
        "feed": None,
        "bytes_max": 64 << 20,
        "entry_bytes_max": 1 << 20,
        "lease_s": 2.0,
        "poll_s": 0.02,
        "call_s": 0.25,
        "expose": False,
    }
    return {**document, **changes}


def kept(**changes: Any) -> Json:
    """Return an app's cache under HTTP's own rules."""
    document: Json = {
        "mode": "http",
        "scope": "anonymous",
        "hold": "strict",
        "ttl_s": 3600.0,
        "stale_s": 0.0,
        "fragments": False,
        "cookies": [],
    }
    return {**document, **changes}


def cached_site(
    *addresses: str, app: Json | None = None, generation: int = 1, **site_cache: Any
) -> Json:
    """Return a snapshot of one app with a cache."""
    worker = pool(*addresses, cache=kept(**(app or {})))
    return site({"app": worker}, generation=generation, cache=cache(**site_cache))
