"""How an app proves that it can serve: one decision for the edge and the supervisor.

Place:  [edge.health] -> edge.compile, assembly
Rule:   pure; a path is always as the worker sees it, mount included where the worker expects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergepoint.manifest.site import App, PrefixMode

PROBE_HEADER = "Mergepoint-Probe"
PROBE_VALUE = "ready"


@dataclass(frozen=True, slots=True)
class Check:
    """A request, and the statuses (inclusive) that prove readiness."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[int, int] = (100, 599)


def readiness(app: App) -> Check:
    """Return the check of `app`.

    A readiness path must answer 2xx or 3xx. Without one, Python workers are asked through the host
    shim, which answers 204 once the application is imported, and others may answer anything.
    """
    if app.ready is not None:
        return Check(worker_path(app, app.ready), statuses=(200, 399))
    if app.kind.is_python:
        return Check(worker_path(app, "/"), {PROBE_HEADER: PROBE_VALUE}, (204, 204))
    return Check(worker_path(app, "/"))


def worker_path(app: App, path: str) -> str:
    """Return `path`, written below the mount, as it reaches a worker."""
    mount = "" if app.prefix is PrefixMode.STRIP or not app.mounts else app.mounts[0].path
    return f"{mount.rstrip('/')}{path}"
