"""Interleaved rounds of a load tool against several servers, and what is kept of them.

Place:  bench.p* -> [measure] -> bench/results/*.json
Rule:   A B A B, never A A B B; medians with their range; losing cells stay in.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
LOAD_CPU, SERVER_CPU = 1, 0


@dataclass(slots=True)
class Sample:
    """One run of the load tool against one server."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(slots=True)
class Result:
    """One benchmark: what was measured, on what, and every round of it."""

    name: str
    question: str
    unit: str
    versions: Mapping[str, str]
    rounds: dict[str, list[float]]
    details: dict[str, Any] = field(default_factory=dict)
    higher_is_better: bool = True
    reach: dict[str, float] = field(default_factory=dict)
    """Peer to the ratio that performance asks for."""

    def median(self, server: str) -> float:
        """Return a server's median over the rounds."""
        return statistics.median(self.rounds[server])

    def ratios(self, ours: str = "Mergepoint") -> dict[str, float]:
        """Return our median over each peer's, inverted where less is better."""
        mine, ratios = self.median(ours), {}
        for peer in self.rounds:
            theirs = self.median(peer)
            better, worse = (mine, theirs) if self.higher_is_better else (theirs, mine)
            if peer != ours and worse:
                ratios[peer] = better / worse
        return ratios

    def save(self) -> Path:
        """Write the result as JSON and return its path."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / (re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") + ".json")
        machine = {
            "cpus": os.cpu_count(),
            "kernel": platform.release(),
            "machine": platform.machine(),
        }
        path.write_text(json.dumps({**asdict(self), "on": machine}, indent=1) + "\n")
        return path


def wrk(
    port: int,
    path: str = "/",
    *,
    seconds: int = 3,
    connections: int = 64,
    host: str = "127.0.0.1",
    header: str = "",
) -> Sample:
    """Load a port with wrk from one thread pinned to the load CPU."""
    argv = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    argv += ["--latency", "--timeout", "10s"] + (["-H", header] if header else [])
    done = subprocess.run(
        [*argv, f"http://{host}:{port}{path}"],
        capture_output=True, text=True, timeout=seconds + 30, check=True,
    )  # fmt: skip
    return parse_wrk(done.stdout)


def parse_wrk(text: str) -> Sample:
    """Return the figures of wrk's report."""
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    spread = dict(re.findall(r"(50|99)%\s+([\d.]+\w+)", text))
    failed = [int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)]
    failed += [int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text)]
    return Sample(rate, to_ms(spread["50"]), to_ms(spread["99"]), sum(failed))


def to_ms(text: str) -> float:
    """Return wrk's ``1.20ms``, ``350.00us`` or ``1.02s`` as milliseconds."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}[unit]


def interleave(
    servers: Mapping[str, int], load: Callable[[int], Sample], rounds: int
) -> dict[str, list[Sample]]:
    """Warm each server once, then go round all of them `rounds` times."""
    for port in servers.values():
        load(port)
    samples: dict[str, list[Sample]] = {name: [] for name in servers}
    for number in range(rounds):
        for name, port in servers.items():
            samples[name].append(load(port))
            print(f"  round {number + 1}  {name:22} {samples[name][-1].requests_per_s:10.0f} req/s")
    return samples


def pin(pid: int, cpu: int) -> None:
    """Keep a process, its threads and its children on one CPU."""
    import psutil

    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {cpu})
