"""P2: a whole Flask page under every usual set-up, one worker and two.

Place:  wrk -> nginx + gunicorn, nginx + uWSGI, uWSGI, Granian, Mergepoint -> bench/programs/page.py
Rule:   the same app, the same number of processes and threads, everything on the server CPU; each
        in the set-up its own documentation asks for, which for Mergepoint is its defaults.

uWSGI alone stands behind its own HTTP router. On ``--http11-socket`` a thread belongs to one
client connection as long as that lasts: of 32 connections four were answered and 28 were not, which
wrk does not show. Mergepoint's workers run under SCHED_BATCH: its supervisor starts all of them so.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mergepoint_testkit import peers
from mergepoint_testkit.corpora import python_tool
from mergepoint_testkit.sites import running_site

from bench.measure import SERVER_CPU, Result, Sample, interleave, pin, wrk

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).parent / "programs"
THREADS = 4


def run(*, quick: bool) -> list[Result]:
    """Measure with one worker and with two."""
    return [measure(workers, quick=quick) for workers in (1, 2)]


def tools() -> Path:
    """Return the folder of the peers' programs."""
    requirements = ROOT / "requirements" / "bench.txt"
    return python_tool(ROOT / ".tools", "bench", requirements, "uwsgi").parent


def measure(workers: int, *, quick: bool) -> Result:
    """Start every set-up, load each in turn."""
    print(f"P2 {workers} worker(s)")
    with tempfile.TemporaryDirectory(prefix="mp-p2-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        database = directory / "tickets.db"
        prepare(database)
        os.environ["BENCH_DATABASE"] = str(database)
        ports = start_all(stack, directory, workers)

        def load(port: int) -> Sample:
            return wrk(port, seconds=1 if quick else 4, connections=32)

        samples = interleave(ports, load, rounds=2 if quick else 5)
    return Result(
        name=f"P2 Flask page {workers} worker{'s' if workers > 1 else ''}",
        question=f"requests/s of a Flask page (template, 20 rows of SQLite), {workers} process(es) "
        f"of {THREADS} threads, front and workers on one CPU",
        unit="req/s",
        versions=versions(),
        rounds={n: [s.requests_per_s for s in many] for n, many in samples.items()},
        details={
            "p99_ms": {n: statistics.median(s.p99_ms for s in m) for n, m in samples.items()},
            "errors": {n: sum(s.errors for s in m) for n, m in samples.items()},
        },
        reach={"nginx + gunicorn": 2.0, "nginx + uWSGI": 1.2, "Granian": 0.9},
    )


def prepare(path: Path) -> None:
    """Create the page's table with its rows."""
    with sqlite3.connect(path) as database:
        database.execute("create table tickets (id integer primary key, title text, state text)")
        database.executemany(
            "insert into tickets (title, state) values (?, ?)",
            [(f"Ticket number {n} <with markup>", "open") for n in range(200)],
        )


def start_all(stack: contextlib.ExitStack, directory: Path, workers: int) -> dict[str, int]:
    """Start every set-up; return its port."""
    ports = {}
    gunicorn, uwsgi = directory / "gunicorn.sock", directory / "uwsgi.sock"
    bin_ = tools()
    stack.enter_context(
        server([str(bin_ / "gunicorn"), "-b", f"unix:{gunicorn}", "-w", str(workers),
                "-k", "gthread", "--threads", str(THREADS), "--no-control-socket", "page:app"],
               directory, "gunicorn", gunicorn)
    )  # fmt: skip
    common = ["--master", "--need-app", "--processes", str(workers), "--threads", str(THREADS)]
    common += ["--module", "page:app", "--disable-logging", "--listen", "1000"]
    stack.enter_context(
        server([str(bin_ / "uwsgi"), "--socket", str(uwsgi), *common], directory, "uwsgi", uwsgi)
    )
    fronts = {
        "nginx + gunicorn": (f"unix:{gunicorn}", peers.NGINX_PROXY),
        "nginx + uWSGI": (f"unix:{uwsgi}", f"uwsgi_pass unix:{uwsgi}; {UWSGI_PARAMS}"),
    }
    for name, (address, location) in fronts.items():
        ports[name] = stack.enter_context(
            nginx_front(directory / name.replace(" ", ""), address, location)
        )
    uwsgi_http = [str(bin_ / "uwsgi"), "--http-keepalive", *common]
    ports["uWSGI"] = start_port(
        stack, directory, "uwsgi-http", lambda port: [*uwsgi_http, "--http", f"127.0.0.1:{port}"]
    )
    granian = [str(bin_ / "granian"), "--interface", "wsgi", "--http", "1", "--no-ws"]
    granian += ["--workers", str(workers), "--blocking-threads", str(THREADS), "page:app"]
    ports["Granian"] = start_port(
        stack, directory, "granian", lambda port: [*granian, "--port", str(port)]
    )
    ports["Mergepoint"] = stack.enter_context(our_site(directory, workers))
    return ports


@contextlib.contextmanager
def server(argv: list[str], directory: Path, name: str, path: Path) -> Iterator[None]:
    """Run a server on a Unix socket, pinned, until the block ends."""
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *argv],
            stdout=log, stderr=log, cwd=PROGRAMS, start_new_session=True,
        )  # fmt: skip
        try:
            peers.wait_for_socket(path, process, name)
            yield
        finally:
            peers.end_group(process)


def start_port(stack, directory, name, argv_for) -> int:  # type: ignore[no-untyped-def]
    """Start a server on a port of its own; return the port."""
    port = peers.free_port()
    argv = ["taskset", "-c", str(SERVER_CPU), *argv_for(port)]
    stack.enter_context(peers.running(argv, directory, name, port, cwd=PROGRAMS))
    return port


UWSGI_PARAMS = "".join(
    f"uwsgi_param {name} {value}; "
    for name, value in {
        "QUERY_STRING": "$query_string",
        "REQUEST_METHOD": "$request_method",
        "REQUEST_URI": "$request_uri",
        "PATH_INFO": "$document_uri",
        "SERVER_PROTOCOL": "$server_protocol",
        "SERVER_NAME": "$server_name",
        "SERVER_PORT": "$server_port",
        "REMOTE_ADDR": "$remote_addr",
        "HTTP_HOST": "$http_host",
    }.items()
)


@contextlib.contextmanager
def nginx_front(directory: Path, address: str, location: str) -> Iterator[int]:
    """Run nginx with one location; yield its port."""
    directory.mkdir()
    with peers.nginx(directory, address, location=location) as peer:
        pin(peer.pid, SERVER_CPU)
        yield peer.port


def manifest(workers: int) -> str:
    """Return the manifest of a site that is P2's page; ``{port}`` is filled in by the testkit."""
    return f'''
[site]
name = "bench"
listen = "127.0.0.1:{{port}}"
access_log = "off"
[apps.page]
wsgi = "page:app"
at = "/"
directory = "{PROGRAMS}"
python = "{tools() / "python"}"
processes = {workers}
threads = {THREADS}
env = {{ BENCH_DATABASE = "{os.environ["BENCH_DATABASE"]}" }}
'''


@contextlib.contextmanager
def our_site(directory: Path, workers: int) -> Iterator[int]:
    """Run the page as a Mergepoint site, everything switched on; yield its port."""
    folder = directory / "site"
    folder.mkdir()
    with running_site(folder, manifest(workers)) as site:
        pin(site.pid, SERVER_CPU)
        yield site.port


def versions() -> dict[str, str]:
    """Return what each program calls itself."""
    bin_ = tools()
    return {
        "nginx": peers.version_of(peers.program("nginx") or "nginx", "-v"),
        "gunicorn": peers.version_of(str(bin_ / "gunicorn"), "--version"),
        "uWSGI": peers.version_of(str(bin_ / "uwsgi"), "--version"),
        "Granian": peers.version_of(str(bin_ / "granian"), "--version"),
        "Python": sys.version.split()[0],
        "Mergepoint": peers.version_of(sys.executable, "-m", "mergepoint", "--version"),
    }
