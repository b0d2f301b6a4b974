"""P12: how the cost of a request grows with the number of apps and of slots.

Place:  wrk -> Mergepoint -> nginx on a Unix socket
Rule:   the same request through ever larger snapshots; flat is the goal.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from mergepoint_testkit import peers
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.snapshots import pool, site

from bench.backend import nothing
from bench.measure import LOAD_CPU, SERVER_CPU, Result, interleave, pin, wrk
from bench.p1 import release_binary

APPS = (1, 10, 100, 1000)
SLOTS = (1, 10, 100)


def run(*, quick: bool) -> list[Result]:
    """Measure both growths, and how long a snapshot of each size takes to apply."""
    with tempfile.TemporaryDirectory(prefix="mp-p12-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        address, backend = stack.enter_context(nothing(directory))
        pin(backend, LOAD_CPU)
        by_apps = {f"{n} apps": apps_snapshot(address, n) for n in APPS}
        by_slots = {f"{n} slots": slots_snapshot(directory, address, n) for n in SLOTS}
        return [
            measure("apps", "/app0/small", by_apps, directory, quick=quick),
            measure("slots", "/small", by_slots, directory, quick=quick),
        ]


def apps_snapshot(address: str, count: int) -> dict[str, Any]:
    """Return a snapshot of `count` apps, each at a path of its own, all on one backend."""
    apps = {f"app{n}": pool(address, prefix="strip", concurrency=1024) for n in range(count)}
    return site(apps, {f"/{name}": name for name in apps})


def slots_snapshot(directory: Path, address: str, count: int) -> dict[str, Any]:
    """Return a snapshot of one app with `count` slots, chosen by hash of the path."""
    target = Path(address.removeprefix("unix:"))
    addresses = []
    for number in range(count):
        link = directory / f"s{count}-{number}.sock"
        link.hardlink_to(target)  # the edge follows no symbolic link to a worker
        addresses.append(f"unix:{link}")
    balance = {"by": "path", "name": "", "segments": 2, "load_factor": 1.5, "load_floor": 64}
    return site({"app": pool(*addresses, concurrency=1024, balance=balance)})


def measure(
    what: str, path: str, snapshots: dict[str, Any], directory: Path, *, quick: bool
) -> Result:
    """Run one edge for each size, load them in turn."""
    print(f"P12 {what}")
    with contextlib.ExitStack() as stack:
        ports, applied = {}, {}
        for name, snapshot in snapshots.items():
            folder = directory / name.replace(" ", "-")
            folder.mkdir()
            edge = stack.enter_context(EdgeProcess(folder, binary=release_binary()))
            edge.start(snapshot)
            began = time.perf_counter()
            edge.apply({**snapshot, "generation": 2})
            applied[name] = (time.perf_counter() - began) * 1000
            assert edge.process is not None
            pin(edge.process.pid, SERVER_CPU)
            ports[name] = edge.port()
        rounds = 2 if quick else 5
        samples = interleave(ports, lambda port: wrk(port, path, seconds=1 if quick else 3), rounds)
    return Result(
        name=f"P12 growth by {what}",
        question=f"requests/s through one edge thread as the snapshot grows by {what}",
        unit="req/s",
        versions={"Mergepoint": peers.version_of(str(release_binary()), "--version")},
        rounds={n: [s.requests_per_s for s in many] for n, many in samples.items()},
        details={"snapshot applied in ms": applied},
    )
