"""Where a browser is sent after a page: only to a path of this site.

Place:  pages -> [pages.destination]
Rule:   pure; whatever a browser could read as another site is refused, never repaired.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

LENGTH_MAX = 2048
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
"""Browsers drop tabs and line ends and read a backslash as a slash (WHATWG URL, 4.4)."""


def is_own_path(target: str) -> bool:
    """Tell whether `target` is a path of this site, whoever reads it and however often decoded.

    True for ``/tickets?open=1``; false for ``//host``, ``https:host``, a relative path, anything
    with a backslash, and for paths whose decoded form begins like one of those.
    """
    if not target or len(target) > LENGTH_MAX:
        return False
    for form in (target, unquote(target), unquote(unquote(target))):
        path = form.split("?", 1)[0].split("#", 1)[0]
        if not path.startswith("/") or path.startswith("//") or _FORBIDDEN.search(path):
            return False
    if _FORBIDDEN.search(target):
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def own_path(target: str | None, default: str) -> str:
    """Return `target` when it is a path of this site, else `default`."""
    return target if target and is_own_path(target) else default
