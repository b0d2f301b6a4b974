"""P11: start, help, import, and what supervisor and edge cost while nothing happens.

Place:  the forge and P2's page -> [p11]
Rule:   wall time from exec to the first good answer; memory is PSS: shared pages count once.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from mergepoint_testkit import forge_site, peers
from mergepoint_testkit.sites import end_site, running_site, start_site

from bench import p2
from bench.measure import Result

IDLE_S = 20.0


def run(*, quick: bool) -> list[Result]:
    """Measure commands, starts and idling."""
    rounds = 2 if quick else 5
    return [commands(rounds), starts(rounds), forge(rounds, IDLE_S / (4 if quick else 1))]


def wall_ms(argv: list[str]) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def commands(rounds: int) -> Result:
    """``--help`` of everybody, interleaved, beside the bare interpreter."""
    bin_ = p2.tools()
    argvs = {
        "Mergepoint": [str(Path(sys.executable).parent / "mergepoint"), "--help"],
        "import mergepoint": [sys.executable, "-c", "import mergepoint"],
        "bare python": [sys.executable, "-c", "pass"],
        "gunicorn": [str(bin_ / "gunicorn"), "--help"],
        "Granian": [str(bin_ / "granian"), "--help"],
        "Flask": [str(bin_ / "flask"), "--help"],
    }
    print("P11 --help")
    times: dict[str, list[float]] = {name: [] for name in argvs}
    for _ in range(rounds * 2):
        for name, argv in argvs.items():
            times[name].append(wall_ms(argv))
    return Result(
        name="P11 help",
        question="Milliseconds of `--help` (asked for: under 100)",
        unit="ms",
        versions=p2.versions(),
        rounds=times,
        higher_is_better=False,
    )


def starts(rounds: int) -> Result:
    """From exec to the first answer of P2's page, for each set-up."""
    print("P11 start")
    bin_ = p2.tools()
    times: dict[str, list[float]] = {"Mergepoint": [], "gunicorn": [], "uWSGI": [], "Granian": []}
    with tempfile.TemporaryDirectory(prefix="mp-p11-") as name:
        database = Path(name) / "t.db"
        p2.prepare(database)
        os.environ["BENCH_DATABASE"] = str(database)
        for number in range(rounds):
            times["Mergepoint"].append(our_start_s(Path(name) / f"site{number}"))
            for peer, argv in peer_argvs(bin_).items():
                times[peer].append(start_s(argv))
    return Result(
        name="P11 start",
        question="Seconds from exec to the first answer of a Flask page",
        unit="s",
        versions=p2.versions(),
        rounds=times,
        higher_is_better=False,
    )


def peer_argvs(bin_: Path) -> dict[str, Callable[[int], list[str]]]:
    """Return how each peer is started on a port."""
    return {
        "gunicorn": lambda port: [str(bin_ / "gunicorn"), "-b", f"127.0.0.1:{port}", "page:app"],
        "uWSGI": lambda port: [
            str(bin_ / "uwsgi"), "--http-socket", f"127.0.0.1:{port}",
            "--master", "--module", "page:app",
        ],
        "Granian": lambda port: [
            str(bin_ / "granian"), "--interface", "wsgi", "--port", str(port), "page:app",
        ],
    }  # fmt: skip


def start_s(argv_for: Callable[[int], list[str]]) -> float:
    """Start a peer, wait for its first answer, stop it."""
    port = peers.free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        argv_for(port), cwd=p2.PROGRAMS, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_answer(port, "/")
        return time.perf_counter() - began
    finally:
        peers.end_group(process)


def our_start_s(folder: Path) -> float:
    """The same for a site of one app."""
    folder.mkdir()
    manifest = p2.manifest(1)
    began = time.perf_counter()
    site = start_site(folder, manifest)
    try:
        wait_for_answer(site.port, "/")
        return time.perf_counter() - began
    finally:
        end_site(site)


def wait_for_answer(port: int, path: str, seconds: float = 60.0) -> None:
    """Return once a path answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.01)
    raise TimeoutError(f"{path} on {port} did not answer within {seconds} s")


def forge(rounds: int, idle_s: float) -> Result:
    """The whole forge: seconds to all apps ready; then CPU and memory of supervisor and edge."""
    print("P11 forge")
    times, details = [], {}
    with tempfile.TemporaryDirectory(prefix="mp-forge-") as name:
        place = forge_site.lay_out(Path(name))
        manifest = forge_site.manifest(place, {})
        with running_site(place, manifest):
            pass  # the first start makes the databases; `make demo` has done so before
        for number in range(rounds):
            began = time.perf_counter()
            with running_site(place, manifest) as site:
                times.append(time.perf_counter() - began)
                if number == rounds - 1:
                    details = idle(site, idle_s)
    return Result(
        name="P11 forge",
        question="Seconds from exec to every app of the forge ready (asked for: under 3), and the "
        "idle cost of supervisor and edge (asked for: under 1 % and 80 MB)",
        unit="s",
        versions=p2.versions(),
        rounds={"Mergepoint": times},
        details=details,
        higher_is_better=False,
    )


def idle(site, seconds: float) -> dict[str, dict[str, float]]:  # type: ignore[no-untyped-def]
    """Return CPU share and PSS of the supervisor and the edge over a quiet time."""
    processes = {
        "supervisor": psutil.Process(site.pid),
        "edge": psutil.Process(site.status()["edge"]["pid"]),
    }
    before = {name: sum(p.cpu_times()[:2]) for name, p in processes.items()}
    time.sleep(seconds)
    cpu = {n: 100 * (sum(p.cpu_times()[:2]) - before[n]) / seconds for n, p in processes.items()}
    pss = {n: p.memory_full_info().pss / 1e6 for n, p in processes.items()}
    return {"idle CPU, percent": cpu, "PSS, MB": pss}
