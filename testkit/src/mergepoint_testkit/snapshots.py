"""Snapshots for tests of the edge alone, each part spelled out once with its usual bounds.

Place:  tests, bench -> [snapshots] -> EdgeProcess
Rule:   the document of contracts.md section 1, nothing more; a test changes only what it is about.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
SECRET = base64.b64encode(b"only for tests, thirty-two bytes").decode()

LIMITS: Json = {
    "header_bytes_max": 65536,
    "headers_max": 100,
    "target_bytes_max": 8192,
    "header_timeout_s": 10.0,
    "idle_timeout_s": 75.0,
    "body_idle_timeout_s": 30.0,
    "connections_max": 20000,
    "h2_streams_max": 100,
    "drain_s": 30.0,
}


def pool(*addresses: str, **changes: Any) -> Json:
    """Return a pool app with one ready slot for each address; keywords replace top-level fields."""
    slots = [
        {"slot": number, "address": address, "state": "ready", "group": "stable"}
        for number, address in enumerate(addresses)
    ]
    app: Json = {
        "kind": "pool",
        "prefix": "host",
        "slots": slots,
        "canary_share": 0.0,
        "concurrency": 64,
        "abandon": "cancel",
        "queue": {"length_max": 256, "wait_s": 10.0},
        "balance": {
            "by": "least",
            "name": "",
            "segments": 1,
            "load_factor": 1.5,
            "load_floor": 4,
        },
        "timeouts": {
            "connect_s": 1.0,
            "request_s": 30.0,
            "body_idle_s": 30.0,
            "tunnel_idle_s": 3600.0,
        },
        "retry": {
            "budget_ratio": 0.2,
            "budget_min_per_s": 10,
            "attempts_max": 2,
            "body_bytes_max": 65536,
        },
        "health": {
            "path": None,
            "headers": {},
            "status_min": 100,
            "status_max": 599,
            "interval_s": 2.0,
            "timeout_s": 1.0,
            "eject_after": 3,
            "eject_s": 5.0,
        },
        "body_bytes_max": 1 << 30,
        "compress": False,
        "failure": None,
    }
    return {**app, **changes}


def site(
    apps: Mapping[str, Json],
    routes: Mapping[str, str] | None = None,
    *,
    generation: int = 1,
    listeners: Sequence[str] = ("http",),
    limits: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Json:
    """Return a snapshot with `apps` on `routes`: prefix to app, by default the first on ``/``."""
    mounts = routes or {"/": next(iter(apps))}
    document: Json = {
        "schema": 1,
        "generation": generation,
        "site": "test",
        "mode": "production",
        "secret": SECRET,
        "listeners": {
            name: {"tls": False, "proxy_protocol": False, "admin": name == "admin"}
            for name in listeners
        },
        "certificates": [],
        "trusted_proxies": [],
        "limits": {**LIMITS, **(limits or {})},
        "access_log": "json",
        "compression": {"enabled": False, "bytes_min": 1024},
        "hosts": [
            {
                "name": "*",
                "routes": [
                    {"prefix": prefix, "app": app, "origin": f"test:{line}"}
                    for line, (prefix, app) in enumerate(mounts.items(), 1)
                ],
            }
        ],
        "apps": dict(apps),
    }
    return {**document, **changes}
