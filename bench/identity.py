"""Identity: what it adds to a proxied request, how long a login takes, how fast a log-out holds.

Place:  wrk, clients -> two sites that differ in [identity] alone -> [identity]
Rule:   the same backend, the same cookie on the wire, the same CPU; only one of the two reads it.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from mergepoint_testkit import peers
from mergepoint_testkit.sites import RunningSite, command, running_site

from bench.backend import nothing
from bench.measure import LOAD_CPU, SERVER_CPU, Result, Sample, interleave, pin, wrk
from bench.p1 import release_binary

PASSWORD = "correct horse battery staple"
LOGINS_AT_ONCE = 100
TRIES_MAX = 10
FAILED_MS = 60_000.0
"""What a page that failed counts as."""
SITE = """
[site]
name = "bench"
listen = "127.0.0.1:{port}"
access_log = "json"
IDENTITY
[apps.app]
at = "/"
http = "http://127.0.0.1:BACKEND"
GUARD
"""


@dataclass(frozen=True, slots=True)
class Sites:
    """The two sites, and the cookies of somebody logged in at the one with identity."""

    without: RunningSite
    with_it: RunningSite
    cookie: str


def run(*, quick: bool) -> list[Result]:
    """Measure the cost of a request, of a login, and of a revocation."""
    with tempfile.TemporaryDirectory(prefix="mp-id-") as name, sites(Path(name)) as both:
        return [
            requests(both, quick=quick),
            *logins(both.with_it, rounds=3 if quick else 20),
            revocations(both.with_it, rounds=3 if quick else 20),
        ]


@contextlib.contextmanager
def sites(directory: Path) -> Iterator[Sites]:
    """Run both sites before one backend."""
    port = peers.free_port()
    plain = SITE.replace("BACKEND", str(port))
    guarded = plain.replace("IDENTITY", "[identity]").replace("GUARD", 'require = "user"')
    plain = plain.replace("IDENTITY", "").replace("GUARD", "")
    for name in ("backend", "without", "with"):
        (directory / name).mkdir()
    with (
        nothing(directory / "backend", port) as (_, backend),
        running_site(directory / "without", plain, verb="run") as without,
        running_site(directory / "with", guarded, verb="run") as with_it,
    ):
        pin(backend, LOAD_CPU)
        for site in (without, with_it):
            pin(site.status()["edge"]["pid"], SERVER_CPU)
        add(with_it, "alice")
        with browser(with_it, "alice") as client:
            cookie = "; ".join(f"{k}={v}" for k, v in client.cookies.items())
        yield Sites(without, with_it, cookie)


def add(site: RunningSite, user: str) -> None:
    """Make an account."""
    argv = command(site.manifest, "users", "add", user, "--password-stdin")
    subprocess.run(
        argv, input=PASSWORD, text=True, check=True, capture_output=True,
        cwd=site.directory, env=site.environment,
    )  # fmt: skip


def log_in(client: httpx2.Client, user: str, told_to_wait: list[int] | None = None) -> float:
    """Log in by the form; return the milliseconds it took.

    Where `told_to_wait` is given, an answer of 429 or 503 is kept there and obeyed.
    """
    began = time.perf_counter()
    for _ in range(TRIES_MAX):
        answer = client.post("/-/accounts/login", data={"user": user, "password": PASSWORD})
        if told_to_wait is None or answer.status_code not in {429, 503}:
            break
        told_to_wait.append(answer.status_code)
        time.sleep(float(answer.headers.get("retry-after", "1")))
    if answer.status_code != 303:
        raise RuntimeError(f"login answered {answer.status_code}: {answer.text[:500]}")
    return (time.perf_counter() - began) * 1000


def new_client(site: RunningSite) -> httpx2.Client:
    """Return a client of a site with its own cookies."""
    return httpx2.Client(base_url=f"http://127.0.0.1:{site.port}", timeout=60)


@contextlib.contextmanager
def browser(site: RunningSite, user: str) -> Iterator[httpx2.Client]:
    """Give a client that is logged in."""
    with new_client(site) as client:
        log_in(client, user)
        yield client


def requests(both: Sites, *, quick: bool) -> Result:
    """Proxied requests a second with the session cookie, where it is read and where it is not."""
    print("identity: requests")

    ports = {"without identity": both.without.port, "Mergepoint": both.with_it.port}
    edges = {s.port: s.status()["edge"]["pid"] for s in (both.without, both.with_it)}
    cpu_us: dict[int, list[float]] = {port: [] for port in edges}
    seconds = 1 if quick else 4

    def load(port: int) -> Sample:
        before = cpu_s(edges[port])
        sample = wrk(port, "/small", seconds=seconds, header=f"Cookie: {both.cookie}")
        spent = cpu_s(edges[port]) - before
        cpu_us[port].append(spent * 1e6 / (sample.requests_per_s * seconds))
        return sample

    samples = interleave(ports, load, rounds=2 if quick else 7)
    return Result(
        name="Identity request",
        question="requests/s through one edge thread with a session cookie, 100 B, 64 connections: "
        "a site that proves and guards against one without identity",
        unit="req/s",
        versions=versions(),
        rounds={n: [s.requests_per_s for s in many] for n, many in samples.items()},
        details={
            "p99_ms": {n: statistics.median(s.p99_ms for s in m) for n, m in samples.items()},
            "errors": {n: sum(s.errors for s in m) for n, m in samples.items()},
            "CPU of the edge, us per request": {
                name: statistics.median(cpu_us[port]) for name, port in ports.items()
            },
        },
        reach={"without identity": 0.95},
    )


def cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def logins(site: RunningSite, rounds: int) -> list[Result]:
    """Time of one login, of a hundred at once, and of a page of the site meanwhile."""
    print("identity: logins")
    alone = []
    for _ in range(rounds):
        with new_client(site) as client:
            alone.append(log_in(client, "alice"))
    add(site, "bob")
    with browser(site, "bob") as client:
        calm = [page_ms(client) for _ in range(rounds * 20)]
        crowd, meanwhile, told_to_wait = at_once(site, client)
    shown = {
        "page p99_ms, calm": percentile(calm, 99),
        "page p99_ms, during the logins": percentile(meanwhile, 99),
        "pages read during the logins": len(meanwhile),
        "of these failed": meanwhile.count(FAILED_MS),
        "last of the logins, ms": max(crowd),
        "told to come back": len(told_to_wait),
    }
    return [
        Result(
            name="Identity login",
            question="milliseconds of a password login with argon2 at its default cost "
            "(asked for: under 300 alone; a hundred at once must not starve the site)",
            unit="ms",
            versions=versions(),
            rounds={"one alone": alone, f"{LOGINS_AT_ONCE} at once": crowd},
            details={"site": shown},
            higher_is_better=False,
        )
    ]


def at_once(site: RunningSite, reader: httpx2.Client) -> tuple[list[float], list[float], list[int]]:
    """Log in a hundred times at once; return their times, those of pages, and the refusals."""
    over = threading.Event()
    pages: list[float] = []
    told_to_wait: list[int] = []

    def read() -> None:
        while not over.is_set():
            began = time.perf_counter()
            status = reader.get("/small").status_code
            pages.append((time.perf_counter() - began) * 1000 if status == 200 else FAILED_MS)

    def one(_: int) -> float:
        with new_client(site) as client:
            return log_in(client, "alice", told_to_wait)

    reading = threading.Thread(target=read)
    reading.start()
    with ThreadPoolExecutor(LOGINS_AT_ONCE) as pool:
        times = list(pool.map(one, range(LOGINS_AT_ONCE)))
    over.set()
    reading.join()
    return times, pages, told_to_wait


def page_ms(client: httpx2.Client) -> float:
    """Return how long a guarded page takes."""
    began = time.perf_counter()
    client.get("/small").raise_for_status()
    return (time.perf_counter() - began) * 1000


def revocations(site: RunningSite, rounds: int) -> Result:
    """From the moment `mergepoint users disable` returns to the first refusal at the door."""
    print("identity: revocations")
    times = []
    for number in range(rounds):
        user = f"user{number}"
        add(site, user)
        with browser(site, user) as client:
            page_ms(client)
            site.run("users", "disable", user)
            began = time.perf_counter()
            while client.get("/small").status_code == 200:
                if time.perf_counter() - began > 10:
                    raise RuntimeError("a disabled person was still served after ten seconds")
            times.append((time.perf_counter() - began) * 1000)
    return Result(
        name="Identity revocation",
        question="milliseconds from the end of `mergepoint users disable` to the first refusal "
        "(asked for: under 1,000)",
        unit="ms",
        versions=versions(),
        rounds={"disabled": times},
        details={"worst": max(times)},
        higher_is_better=False,
    )


def percentile(values: list[float], share: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100)[share - 1] if len(values) > 1 else values[0]


def versions() -> dict[str, str]:
    """Return what was measured."""
    return {"Mergepoint": peers.version_of(str(release_binary()), "--version")}
