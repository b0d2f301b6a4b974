"""What the snapshot says of the cache.

Place:  edge.compile -> [edge.cache]
Rule:   pure; section 7 of docs/reference/contracts.md.
"""

from __future__ import annotations

from mergepoint.edge.snapshot import AppCacheDoc, CacheDoc
from mergepoint.manifest.site import AppCache, Site

FEED_SOCKET = "feed.sock"
"""In the run directory; the hub binds it (`assembly.feed`)."""


def cache_doc(site: Site) -> CacheDoc | None:
    """Return the site's cache, or None where no app has one."""
    cache = site.cache
    if cache is None:
        return None
    return {
        "feed": f"unix:{site.run_dir / FEED_SOCKET}" if site.databases else None,
        "bytes_max": cache.bytes_max,
        "entry_bytes_max": cache.entry_bytes_max,
        "lease_s": cache.lease_s,
        "poll_s": cache.poll_s,
        "call_s": cache.call_s,
        "expose": cache.expose,
    }


def app_cache_doc(cache: AppCache) -> AppCacheDoc:
    """Return what of an app's answers is kept."""
    return {
        "mode": cache.mode,
        "scope": cache.scope,
        "hold": cache.hold,
        "ttl_s": cache.ttl_s,
        "stale_s": cache.stale_s,
        "fragments": cache.fragments,
        "cookies": list(cache.cookies),
    }
