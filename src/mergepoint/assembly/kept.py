"""What a worker is told when answers of its app are kept by themselves: `MERGEPOINT_CACHE`.

Place:  assembly.build -> [assembly.kept] -> host.tags in the worker
Rule:   where databases are, never how to enter them; contracts.md section 7.
"""

from __future__ import annotations

import json
from typing import Any

from mergepoint.assembly.deliveries import http_sockets, hub_socket
from mergepoint.manifest.site import App, Site

VARIABLE = "MERGEPOINT_CACHE"


def kept_variables(site: Site, app: App) -> dict[str, str]:
    """Return the variable of an app whose answers are kept without being told so, else nothing."""
    if app.cache is None or app.cache.mode != "auto":
        return {}
    told: dict[str, Any] = {
        "mode": app.cache.mode,
        "databases": [
            {"name": one.name, "url": public(one.url.value), "ignore": list(one.ignore)}
            for one in site.databases
        ],
        "beside": [*app.cache.beside, *_own_sockets(site, app)],
    }
    return {VARIABLE: json.dumps(told, sort_keys=True)}


def public(url: str) -> str:
    """Return an address without the user and the password in it. Pure."""
    scheme, colon, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    return f"{scheme}{colon}{netloc.rpartition('@')[2]}{slash}{path}"


def _own_sockets(site: Site, app: App) -> list[str]:
    """Return where messages and tasks leave: what is sent there is read by no page."""
    if site.bus is None:
        return []
    return sorted({str(hub_socket(site, app.name)), *map(str, http_sockets(site))})
