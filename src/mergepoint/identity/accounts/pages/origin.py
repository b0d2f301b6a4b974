"""Whether an unsafe request comes from this site's own pages: the second check, behind the edge's.

Place:  pages.doorway -> [pages.origin]
Rule:   pure; the same table as the edge's (contracts.md 5), so that the app is safe alone too.
"""

from __future__ import annotations

from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OWN_SITES = frozenset({"same-origin", "none"})
_PORTS = {"http": 80, "https": 443}


def is_own(method: str, fetch_site: str | None, origin: str | None, own: str) -> bool:
    """Tell whether a request may change something.

    `own` is scheme, host and port as the browser sees them. ``Sec-Fetch-Site`` decides where it is
    sent; without it ``Origin`` must be ours; with neither the request is not a browser's.
    """
    if method in SAFE_METHODS:
        return True
    if fetch_site is not None:
        return fetch_site in OWN_SITES
    if origin is not None:
        return _parts(origin) is not None and _parts(origin) == _parts(own)
    return True


def _parts(origin: str) -> tuple[str, str, int] | None:
    try:
        split = urlsplit(origin)
        port = split.port
    except ValueError:
        return None
    if split.scheme not in _PORTS or not split.hostname:
        return None
    return split.scheme, split.hostname, port or _PORTS[split.scheme]
