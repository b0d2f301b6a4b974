"""Compile a site and what runs of it into the one document the edge obeys.

Place:  assembly, supervisor -> [edge.compile] -> the edge's control channel
Rule:   pure; the same arguments give the same document, key for key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, cast

from mergepoint.core.endpoints import Failure, SlotEndpoint
from mergepoint.edge.cache import app_cache_doc, cache_doc
from mergepoint.edge.health import readiness
from mergepoint.edge.identity import EdgeKeys, access_doc, identity_doc
from mergepoint.edge.matching import host_table
from mergepoint.edge.snapshot import (
    SCHEMA,
    AppDoc,
    FailureDoc,
    HealthDoc,
    LimitsDoc,
    PoolDoc,
    SlotDoc,
    SnapshotDoc,
)
from mergepoint.manifest.site import App, Kind, Site

COMPRESS_BYTES_MIN = 1024
SECRET_BYTES = 32
HEALTH_TIMEOUT_S = 3.0
EJECT_AFTER = 3
EJECT_S = 5.0
RETRY_BUDGET_RATIO = 0.2
RETRY_BUDGET_MIN_PER_S = 10
RETRY_ATTEMPTS_MAX = 2
RETRY_BODY_BYTES_MAX = 65536


def compile_snapshot(
    site: Site,
    endpoints: Mapping[str, Sequence[SlotEndpoint]],
    failures: Mapping[str, Failure],
    generation: int,
    canary_share: Mapping[str, float],
    secret: bytes,
    keys: EdgeKeys | None = None,
) -> dict[str, Any]:
    """Return the whole snapshot.

    `endpoints` and `failures` are by app; a failure shows only while the app has no endpoint. An
    app with neither is about to start: its requests wait in the queue.
    `canary_share` is 0 to 1 by app, 0 where it is not named. `secret` is 32 bytes that stay the
    same for the life of the site, or sticky cookies lose their meaning. `keys` are what the edge
    signs with; a site with identity needs them.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"the cookie secret has {len(secret)} bytes, not {SECRET_BYTES}")
    apps: dict[str, AppDoc] = {}
    for name, app in sorted(site.apps.items()):
        failure = failures.get(name) or site.failures.get(name)
        apps[name] = _app(app, endpoints.get(name, ()), failure, canary_share.get(name, 0.0))
        if app.access is not None:
            apps[name]["access"] = access_doc(app.access)
    document: SnapshotDoc = {
        "schema": SCHEMA,
        "generation": generation,
        "site": site.name,
        "mode": site.mode.value,
        "secret": base64.b64encode(secret).decode("ascii"),
        "listeners": {
            listener.name: {
                "tls": listener.tls,
                "proxy_protocol": listener.proxy_protocol,
                "admin": listener.admin,
                "https_port": listener.https_port,
            }
            for listener in site.listeners
        },
        "certificates": [{"cert": str(c.cert), "key": str(c.key)} for c in site.certificates],
        "hsts_s": site.hsts_s,
        "trusted_proxies": list(site.trusted_proxies),
        "limits": cast(LimitsDoc, asdict(site.edge_limits)),
        "access_log": site.access_log,
        "compression": {"enabled": site.compression, "bytes_min": COMPRESS_BYTES_MIN},
        "hosts": host_table(site),
        "apps": apps,
    }
    identity = identity_doc(site, keys)
    if identity is not None:
        document["identity"] = identity
    cache = cache_doc(site)
    if cache is not None:
        document["cache"] = cache
    return cast(dict[str, Any], document)


def _app(
    app: App, endpoints: Sequence[SlotEndpoint], failure: Failure | None, canary_share: float
) -> AppDoc:
    if app.static is not None:
        return {
            "kind": "static",
            "root": str(app.static.root),
            "index": list(app.static.index),
            "fallback": app.static.fallback,
            "cache_control": app.static.cache_control,
            "compress": app.compress,
        }
    if app.redirect is not None:
        return {
            "kind": "redirect",
            "to": app.redirect.to,
            "status": app.redirect.status,
            "keep_path": app.redirect.keep_path,
        }
    return _pool(app, endpoints, failure, canary_share)


def _pool(
    app: App, endpoints: Sequence[SlotEndpoint], failure: Failure | None, canary_share: float
) -> PoolDoc:
    slots = _slots(app, endpoints)
    timeouts, balance = app.timeouts, app.balance
    document: PoolDoc = {
        "kind": "pool",
        "prefix": app.prefix.value,
        "slots": slots,
        "canary_share": canary_share,
        "concurrency": app.concurrency,
        "abandon": abandon(app),
        "queue": {"length_max": app.queue.length_max, "wait_s": app.queue.wait_s},
        "balance": {
            "by": balance.by.value,
            "name": balance.name,
            "segments": balance.segments,
            "load_factor": balance.load_factor,
            "load_floor": balance.load_floor,
        },
        "timeouts": {
            "connect_s": timeouts.connect_s,
            "request_s": timeouts.request_s,
            "body_idle_s": timeouts.body_idle_s,
            "tunnel_idle_s": timeouts.tunnel_idle_s,
        },
        "retry": {
            "budget_ratio": RETRY_BUDGET_RATIO,
            "budget_min_per_s": RETRY_BUDGET_MIN_PER_S,
            "attempts_max": RETRY_ATTEMPTS_MAX,
            "body_bytes_max": RETRY_BODY_BYTES_MAX,
        },
        "health": _health(app),
        "body_bytes_max": app.body_bytes_max,
        "compress": app.compress,
        "failure": _failure(failure) if failure is not None and not slots else None,
    }
    if app.cache is not None:
        document["cache"] = app_cache_doc(app.cache)
    return document


def _slots(app: App, endpoints: Sequence[SlotEndpoint]) -> list[SlotDoc]:
    if app.kind is Kind.HTTP:
        endpoints = [SlotEndpoint(0, f"tcp:{app.target.removeprefix('http://')}")]
    ordered = sorted(endpoints, key=lambda e: (e.slot, e.group.value, e.state.value, e.address))
    return [
        {"slot": e.slot, "address": e.address, "state": e.state.value, "group": e.group.value}
        for e in ordered
    ]


def abandon(app: App) -> Literal["finish", "cancel"]:
    """Return what becomes of a request whose client left: blocking workers finish it."""
    blocking = app.kind is Kind.WSGI or any(m.interface is Kind.WSGI for m in app.members)
    return "finish" if blocking else "cancel"


def _health(app: App) -> HealthDoc:
    check = readiness(app)
    return {
        "path": check.path,
        "headers": dict(check.headers),
        "status_min": check.statuses[0],
        "status_max": check.statuses[1],
        "interval_s": app.health_interval_s,
        "timeout_s": HEALTH_TIMEOUT_S,
        "eject_after": EJECT_AFTER,
        "eject_s": EJECT_S,
    }


def _failure(failure: Failure) -> FailureDoc:
    return {"reason": failure.reason, "where": failure.where, "next": failure.next}
