"""Describe the running site for `status`.

Place:  supervisor.running -> [supervisor.status] -> supervisor.verbs
Rule:   reads only; the document is the one of contracts.md section 4.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from mergepoint.supervisor.contract import Role
from mergepoint.supervisor.pool import Pool, Process
from mergepoint.supervisor.running import EDGE, Running
from mergepoint.supervisor.services import shown
from mergepoint.supervisor.states import app_state, slot_state

Json = dict[str, Any]


def status(running: Running) -> Json:
    """Return the whole status document."""
    apps, services = _apps(running), _services(running)
    for name, failure in running.wanted.failures.items():
        apps.setdefault(
            name, {"state": "failed", "wanted": 0, "slots": [], "failure": asdict(failure)}
        )
    return {
        "site": running.wanted.site,
        "pid": os.getpid(),
        "uptime_s": round(running.now - running.started_s, 3),
        "generation": running.generation,
        "listeners": {name: listener.bound for name, listener in running.listeners.items()},
        "edge": _edge(running),
        "apps": apps,
        "services": services,
    }


def _apps(running: Running) -> Json:
    pools = running.apps.items()
    return {name: _app(running, pool) for name, pool in pools if pool.spec.role is Role.APP}


def _services(running: Running) -> Json:
    """Return what runs beside the apps: the hub, the gateway, and workers that run tasks."""
    return {
        shown(name): {"role": str(pool.spec.role), "of": pool.spec.of, **_app(running, pool)}
        for name, pool in running.apps.items()
        if pool.spec.role is not Role.APP
    }


def _app(running: Running, pool: Pool) -> Json:
    slots = [
        _process(running, pool, p) for p in sorted(pool.processes, key=lambda p: (p.slot, p.key))
    ]
    live = {p.slot for p in pool.processes}
    slots += [_empty(running, pool, n) for n in range(pool.count) if n not in live]
    failure = pool.refused or pool.failure
    return {
        "state": app_state(pool),
        "wanted": pool.count,
        "release": pool.release,
        "slots": sorted(slots, key=lambda slot: slot["slot"]),
        "failure": asdict(failure) if failure else None,
    }


def _process(running: Running, pool: Pool, process: Process) -> Json:
    child = running.children.get(process.key)
    return {
        "slot": process.slot,
        "pid": child.pid if child else None,
        "state": str(process.phase),
        "address": process.address,
        "age_s": round(running.now - (process.ready_at_s or process.since_s), 3),
        "rss_bytes": running.rss_bytes.get(process.key, 0),
        "cpu_s": running.cpu_s.get(process.key, 0.0),
        "restarts": pool.slot(process.slot).restarts,
        "group": str(process.group),
        "release": process.release,
    }


def _empty(running: Running, pool: Pool, number: int) -> Json:
    return {
        "slot": number, "pid": None, "state": slot_state(pool, number, running.now), "address": "",
        "age_s": 0.0, "rss_bytes": 0, "cpu_s": 0.0, "restarts": pool.slot(number).restarts,
        "group": "stable", "release": "",
    }  # fmt: skip


def _edge(running: Running) -> Json:
    pool = running.pools[EDGE]
    entries = [_process(running, pool, p) for p in pool.processes]
    newest = entries[-1] if entries else {"pid": None, "rss_bytes": 0, "cpu_s": 0.0, "age_s": 0.0}
    return {
        "state": app_state(pool),
        "pid": newest["pid"],
        "age_s": newest["age_s"],
        "rss_bytes": newest["rss_bytes"],
        "cpu_s": newest["cpu_s"],
        "restarts": pool.slot(0).restarts,
        "processes": len(entries),
        "failure": asdict(pool.failure) if pool.failure else None,
    }
