"""P4: from a write to the moment nobody is served the old page, and how many were until then.

Place:  make bench -> [fresh] -> mergepoint start with one counter on SQLite and on PostgreSQL
Rule:   a caller that was told of a write, and one that was not; nginx with a life of one second
        stands for every cache that is not told of changes.
"""

from __future__ import annotations

import contextlib
import http.client
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mergepoint_testkit import peers
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.sites import RunningSite, running_site

from bench.cache import nginx
from bench.measure import Result

WRITES = 300
TABLE = "CREATE TABLE kv (id integer PRIMARY KEY, v integer NOT NULL); INSERT INTO kv VALUES (1, 0)"
ADD = "UPDATE kv SET v = v + 1 WHERE id = 1 RETURNING v"
APP = """
CONNECT

def app(environ, start):
    with connection() as db:
        if environ["REQUEST_METHOD"] == "POST":
            value = db.execute("UPDATE kv SET v = v + 1 WHERE id = 1 RETURNING v").fetchone()[0]
            db.commit()
        else:
            value = db.execute("SELECT v FROM kv WHERE id = 1").fetchone()[0]
            db.rollback()
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(value).encode()]
"""
SQLITE = """
import contextlib, sqlite3
def connection():
    return contextlib.closing(sqlite3.connect("kv.db", timeout=20))
"""
POSTGRES = """
import psycopg_pool
pool = psycopg_pool.ConnectionPool("URL", min_size=2, max_size=8, open=True)
def connection():
    return pool.connection()
"""
MANIFEST = """
[site]
name = "fresh"
listen = "127.0.0.1:{port}"
access_log = "off"

[[databases]]
name = "main"
url = "URL"

[apps.counter]
wsgi = "counter:app"
at = "/"
cache = "auto"
threads = 4

[apps.unheld]
wsgi = "counter:app"
at = "/unheld"
cache = { mode = "auto", hold = "none" }
"""
NGINX = """
  proxy_cache_path {dir}/kept keys_zone=kept:1m;
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://127.0.0.1:{backend}/; proxy_cache kept; proxy_cache_valid 200 1s;
    proxy_ignore_headers Cache-Control Expires Vary; }} }}
"""


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, method: str = "GET", path: str = "/") -> int:
        """Return the counter; raises when the answer is not one."""
        self._connection.request(method, path, headers={"Content-Length": "0"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} was answered {answer.status}")
        return int(body)


def run(*, quick: bool) -> list[Result]:
    """Measure writers that are held, changes from outside, and old pages under load."""
    count = 20 if quick else WRITES
    results = []
    for name in ("SQLite", "PostgreSQL"):
        print(f"P4 fresh pages, {name}")
        with counter_site(name) as (site, outside), old_cache(site) as peer:
            results += [held(site, name, count), seen(site, outside, name, count)]
            results.append(stale(site, peer, name, 2.0 if quick else 15.0))
    return results


@contextlib.contextmanager
def counter_site(engine: str) -> Iterator[tuple[RunningSite, Callable[[], int]]]:
    """Run the site on a database of its own; yields it, and how to write past it."""
    with tempfile.TemporaryDirectory(prefix="mp-p4-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        if engine == "SQLite":
            url, connect = "sqlite:///kv.db", SQLITE
            db = sqlite3.connect(directory / "kv.db", isolation_level=None)
            stack.callback(db.close)
            db.execute("PRAGMA journal_mode = wal")
            db.executescript(TABLE)
            outside = lambda: int(db.execute(ADD).fetchall()[0][0])  # noqa: E731
        else:
            import psycopg

            url = stack.enter_context(running_postgres()).create("kv")
            connect = POSTGRES.replace("URL", url)
            server = stack.enter_context(psycopg.connect(url, autocommit=True))
            server.execute(TABLE)
            outside = lambda: int(server.execute(ADD).fetchall()[0][0])  # noqa: E731
        (directory / "counter.py").write_text(APP.replace("CONNECT", connect))
        manifest = MANIFEST.replace("URL", url)
        (directory / "mergepoint.toml").write_text(manifest.replace("{port}", "1"))
        RunningSite(directory, 0, None, None).run("feed", "install")  # type: ignore[arg-type]
        site = stack.enter_context(running_site(directory, manifest))
        warm(site)
        yield site, outside


def warm(site: RunningSite) -> None:
    """Wait until pages are kept, and a writer waits for nobody who may have served before."""
    client = Client(site.port)
    for _ in range(30):
        client.ask("POST")
        client.ask()
        time.sleep(0.1)


@contextlib.contextmanager
def old_cache(site: RunningSite) -> Iterator[int]:
    """Run nginx before the site, keeping pages for a second."""
    with tempfile.TemporaryDirectory(prefix="mp-p4-") as name:
        directory, port = Path(name), peers.free_port()
        server = NGINX.format(dir=directory, port=port, backend=site.port)
        with nginx(directory / "peer", port, server):
            yield port


def held(site: RunningSite, engine: str, count: int) -> Result:
    """Time writes that are held until every cache is clean, and writes that are not."""
    client = Client(site.port)
    paths = {"Mergepoint": "/", "not held": "/unheld/"}
    rounds: dict[str, list[float]] = {name: [] for name in paths}
    wrong = 0
    for _ in range(count):
        for name, path in paths.items():
            client.ask("GET", path)
            began = time.perf_counter()
            value = client.ask("POST", path)
            rounds[name].append((time.perf_counter() - began) * 1000)
            if name == "Mergepoint":
                wrong += client.ask("GET", path) != value
    return Result(
        name=f"P4 held writes, {engine}",
        question="Milliseconds of a write, answered when nobody is served the old page any more",
        unit="ms", versions={}, rounds=rounds, higher_is_better=False,
        details={"p99, ms": {n: p99(r) for n, r in rounds.items()}, "old pages after it": wrong},
    )  # fmt: skip


def seen(site: RunningSite, outside: Callable[[], int], engine: str, count: int) -> Result:
    """Time from a commit past the site until its page is the new one."""
    client, times = Client(site.port), []
    for number in range(count):
        client.ask()
        time.sleep((number % 21) / 1000)  # at every moment between two looks into the log
        value = outside()
        began = time.perf_counter()
        while client.ask() != value:
            pass
        times.append((time.perf_counter() - began) * 1000)
    return Result(
        name=f"P4 changes from outside, {engine}",
        question="Milliseconds from a commit by another program until its page is the new one",
        unit="ms", versions={}, rounds={"Mergepoint": times}, higher_is_better=False,
        details={"p99, ms": p99(times)},
    )  # fmt: skip


def stale(site: RunningSite, peer: int, engine: str, seconds: float) -> Result:
    """Count old pages served to callers who had been told of a newer one, under load."""
    told = [0]
    counts = {name: [0, 0] for name in ("Mergepoint", "nginx, 1 s")}
    ends = time.monotonic() + seconds

    def write() -> None:
        client = Client(site.port)
        while time.monotonic() < ends:
            told[0] = client.ask("POST")
            time.sleep(0.01)

    def read(name: str, port: int) -> None:
        client = Client(port)
        while time.monotonic() < ends:
            floor = told[0]
            counts[name][0] += 1
            counts[name][1] += client.ask() < floor

    works = [(write, ()), (read, ("Mergepoint", site.port)), (read, ("nginx, 1 s", peer))]
    threads = [threading.Thread(target=work, args=given) for work, given in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shares = {n: [100 * old / max(1, asked)] for n, (asked, old) in counts.items()}
    return Result(
        name=f"P4 old pages, {engine}",
        question="Percent of pages older than a write whose writer had its answer before",
        unit="% old", versions={"nginx": peers.version_of(str(peers.program("nginx")), "-v")},
        rounds=shares, higher_is_better=False,
        details={"pages, of these old": counts, "writes": told[0]},
    )  # fmt: skip


def p99(times: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(times, n=100)[98]
