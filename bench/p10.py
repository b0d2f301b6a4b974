"""P10: a rolling restart under load: failed requests and the longest silence.

Place:  64 clients, half kept alive -> each server while it is told to reload
Rule:   the app takes two seconds to import; one worker and two.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mergepoint_testkit import peers
from mergepoint_testkit.load import Tally, Target, during
from mergepoint_testkit.sites import running_site

from bench import p2
from bench.measure import Result
from bench.p11 import wait_for_answer

SLOW = """
import time
time.sleep(2)
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def run(*, quick: bool) -> list[Result]:
    """Measure with one worker and with two."""
    return [measure(workers, rounds=1 if quick else 2) for workers in (1, 2)]


def measure(workers: int, rounds: int) -> Result:
    """Reload every server `rounds` times, in turn."""
    print(f"P10 {workers} worker(s)")
    failed: dict[str, list[float]] = {}
    gaps: dict[str, float] = {}
    totals: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="mp-p10-") as name:
        directory = Path(name)
        (directory / "slow.py").write_text(SLOW)
        for number in range(rounds):
            for server, reload in servers(directory, workers, number).items():
                tally = reload()
                failed.setdefault(server, []).append(float(tally.failures))
                gaps[server] = max(gaps.get(server, 0.0), tally.longest_gap_s)
                totals[server] = totals.get(server, 0) + tally.succeeded
                print(f"  round {number + 1}  {server:12} {tally}")
    return Result(
        name=f"P10 rolling restart {workers} worker{'s' if workers > 1 else ''}",
        question=f"Failed requests while a server of {workers} worker(s) reloads an app that takes "
        "2 s to import (asked for: 0)",
        unit="failed requests",
        versions=p2.versions(),
        rounds=failed,
        details={"longest silence, s": gaps, "requests answered": totals},
        higher_is_better=False,
    )


def servers(directory: Path, workers: int, number: int) -> dict[str, Callable[[], Tally]]:
    """Return how each server is started, loaded and reloaded."""
    bin_ = p2.tools()
    count = str(workers)
    fifo = directory / f"fifo{number}"
    uwsgi = ["--master", "--lazy-apps", "--need-app", "--processes", count, "--threads", "4"]
    uwsgi += ["--module", "slow:app", "--disable-logging", "--master-fifo", str(fifo)]
    uwsgi += ["--listen", "1000"]
    return {
        "gunicorn": lambda: reload_peer(
            directory,
            lambda port: [str(bin_ / "gunicorn"), "-b", f"127.0.0.1:{port}", "-w", count, "-k",
                          "gthread", "--threads", "4", "--no-control-socket", "slow:app"],
            lambda process: process.send_signal(signal.SIGHUP),
        ),
        "uWSGI chain": lambda: reload_peer(
            directory,
            lambda port: [str(bin_ / "uwsgi"), "--http-keepalive", *uwsgi,
                          "--http", f"127.0.0.1:{port}"],
            lambda _: fifo.write_text("c"),
        ),
        "Granian": lambda: reload_peer(
            directory,
            lambda port: [str(bin_ / "granian"), "--interface", "wsgi", "--port", str(port),
                          "--workers", count, "--blocking-threads", "4", "slow:app"],
            lambda process: process.send_signal(signal.SIGHUP),
        ),
        "Mergepoint": lambda: reload_ours(directory / f"ours{number}", directory, workers),
    }  # fmt: skip


def reload_peer(
    directory: Path,
    argv_for: Callable[[int], list[str]],
    reload: Callable[[subprocess.Popen[bytes]], object],
) -> Tally:
    """Start a peer, reload it under load, and give it ten seconds to finish."""
    port = peers.free_port()
    process = subprocess.Popen(
        argv_for(port), cwd=directory, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_answer(port, "/")

        def act() -> None:
            reload(process)
            time.sleep(10)

        return during(Target(port), act)[1]
    finally:
        peers.end_group(process)


def reload_ours(folder: Path, directory: Path, workers: int) -> Tally:
    """The same with a site of one app."""
    folder.mkdir()
    manifest = f"""
[site]
name = "bench"
listen = "127.0.0.1:{{port}}"
access_log = "off"
[apps.slow]
wsgi = "slow:app"
at = "/"
directory = "{directory}"
processes = {workers}
"""
    with running_site(folder, manifest) as site:

        def act() -> None:
            site.run("restart", "slow")
            time.sleep(2)

        return during(Target(site.port), act)[1]
