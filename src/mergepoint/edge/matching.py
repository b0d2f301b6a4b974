"""Which app answers a host and path: the table the edge gets, and the same rules for people.

Place:  manifest.site -> [edge.matching] -> edge.compile, edge.routes, manifest.checks
Rule:   pure; exact host before wildcard before *, then the longest prefix on whole segments.
"""

from __future__ import annotations

from dataclasses import dataclass

from mergepoint.edge.snapshot import HostDoc
from mergepoint.manifest.site import App, Mount, Origin, Site


@dataclass(frozen=True, slots=True)
class Route:
    """One mount of one app, and where it was written."""

    host: str
    path: str
    app: str
    kind: str
    origin: Origin

    @property
    def mount(self) -> str:
        """``example.org/tickets``, or the path alone for any host."""
        return self.path if self.host == "*" else f"{self.host}{self.path}"


def list_routes(site: Site) -> tuple[Route, ...]:
    """Return every route as it is tried: exact hosts, wildcards, any; longest path first."""
    routes = [
        Route(mount.host, mount.path, app.name, app.kind.value, mount_origin(app, mount))
        for app in site.apps.values()
        for mount in app.mounts
    ]
    return tuple(sorted(routes, key=lambda r: (*_host_rank(r.host), -len(r.path), r.path, r.app)))


def _host_rank(host: str) -> tuple[int, int, str]:
    if host == "*":
        return (2, 0, host)
    return (1, -len(host), host) if host.startswith("*.") else (0, 0, host)


def mount_origin(app: App, mount: Mount) -> Origin:
    """Return where this mount was written: its entry of `at`, or `host`, or the app's table."""
    for position in range(len(app.mounts)):
        written = app.origins.get(f"at[{position}]")
        if written is not None and position < len(app.mounts) and app.mounts[position] == mount:
            return written
    return app.origins.get("at") or app.origins.get("host") or app.origin


def host_table(site: Site) -> list[HostDoc]:
    """Return the hosts of the snapshot with their routes, in the order they are tried."""
    hosts: dict[str, HostDoc] = {}
    for route in list_routes(site):
        table = hosts.setdefault(route.host, {"name": route.host, "routes": []})
        table["routes"].append(
            {"prefix": route.path, "app": route.app, "origin": str(route.origin)}
        )
    return list(hosts.values())


def host_matches(pattern: str, host: str) -> bool:
    """Tell whether `host`, lower case without port, is meant by ``*.example.org``-like text."""
    if pattern == "*" or pattern == host:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) >= len(pattern)


def path_matches(prefix: str, path: str) -> bool:
    """Tell whether `path` is `prefix` or lies below it on a whole segment."""
    return prefix == "/" or path == prefix or path.startswith(f"{prefix}/")
