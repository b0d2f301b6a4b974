"""One queue on an engine: its broker, its worker, and the marks its jobs leave.

Place:  bench.queues, bench.hub_enqueue -> [queues_stand] -> bench/programs/queues
Rule:   engines are started once; every stand has a database, a virtual host or files of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint_testkit.corpora import python_tool
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.rabbitmq import running_rabbitmq
from mergepoint_testkit.redis import running_redis

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).parent / "programs" / "queues"
STEP_S_MAX = 240.0
BOOT_S_MAX = 60.0
CONCURRENCY = 4
REDIS = {"appendonly": "yes", "appendfsync": "everysec", "databases": "10000"}


@dataclass(frozen=True)
class Peer:
    """A queue on an engine: the program in bench/programs/queues, and what it is told."""

    name: str
    program: str
    broker: str
    """redis, rabbitmq, postgresql, sqlite or hub."""
    environment: dict[str, str] = field(default_factory=dict, hash=False)


class Engines:
    """Servers that are started when they are first asked for, and end with the benchmark."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._servers: dict[str, Any] = {}  # Any: each has its own way of naming a database

    def url(self, peer: Peer, directory: Path) -> str:
        """Return an address that nobody else has; "" where the peer needs no server."""
        with self._lock:
            number = next(self._numbers)
            if peer.broker == "redis":
                server = self._server("redis", lambda: running_redis(REDIS))
                return str(server.url()).replace("/0", f"/{number}")
            if peer.broker == "rabbitmq":
                return str(self._server("rabbitmq", running_rabbitmq).vhost(f"bench{number}"))
            if peer.broker == "postgresql":
                return str(self._server("postgresql", running_postgres).create(f"bench{number}"))
        return f"sqlite://{directory / 'queue.db'}" if peer.broker == "sqlite" else ""

    def _server(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._servers:
            self._servers[name] = self._stack.enter_context(make())
        return self._servers[name]


class Stand:
    """One peer with a broker of its own namespace and files for the marks."""

    def __init__(self, peer: Peer, python: Path, broker: str, directory: Path) -> None:
        self.peer = peer
        self.directory = directory
        self.count, self.starts = directory / "count", directory / "starts"
        self._python = python
        self._log = directory / "log"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(PROGRAMS),
            "BENCH_BROKER": broker,
            "BENCH_DIRECTORY": str(directory),
            "BENCH_COUNT": str(self.count),
            "BENCH_STARTS": str(self.starts),
            "BENCH_ENDS": str(directory / "ends"),
            "BENCH_CONCURRENCY": str(CONCURRENCY),
            **peer.environment,
        }
        self.count.touch()
        self.starts.touch()

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin one step."""
        return subprocess.Popen(
            self._argv(*words), cwd=PROGRAMS, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self, step: subprocess.Popen[str]) -> str:
        """Wait for the end of a step; return what it printed."""
        told, complaint = step.communicate(timeout=STEP_S_MAX)
        if step.returncode:
            raise RuntimeError(f"{self.peer.name}: {step.args!r} failed: {complaint[-2000:]}")
        return told.strip()

    def step(self, *words: str) -> str:
        """Run one step to its end and return what it printed."""
        return self.end(self.begin(*words))

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker in a process group of its own; kill what is left of it."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._argv("worker"), cwd=PROGRAMS, env=self._environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def counted(self) -> int:
        """Return how many jobs have left their mark."""
        return self.count.stat().st_size

    def started(self, name: str) -> list[tuple[float, int]]:
        """Return when, and in which process group, a job that holds was started."""
        lines = [line.split() for line in self.starts.read_text().splitlines()]
        return [(float(at), int(group)) for job, at, group in lines if job == name]

    def _argv(self, *words: str) -> list[str]:
        return [str(self._python), str(PROGRAMS / "run.py"), self.peer.program, *words]


@contextlib.contextmanager
def stand(peer: Peer, engines: Engines) -> Iterator[Stand]:
    """Give a peer on a fresh broker."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mp-queue-")))
        ours = peer.program == "mergepoint"
        url = engines.url(peer, directory)
        broker = hub_beside(url, stack, directory) if ours else url
        made = Stand(peer, Path(sys.executable) if ours else tools(), broker, directory)
        made.step("setup")
        yield made


def tools() -> Path:
    """Return the interpreter of the peers' environment."""
    requirements = ROOT / "requirements" / "queues.txt"
    return python_tool(ROOT / ".tools", "queues", requirements, "celery").parent / "python"


def hub_beside(url: str, stack: contextlib.ExitStack, directory: Path) -> str:
    """Start the hub that a site would have, and return what it tells its processes."""
    socket = directory / "hub.sock"
    told = {"state_dir": str(directory / "hub"), "socket": str(socket), "site": "bench"}
    (directory / "hub").mkdir()
    environment = {
        **os.environ,
        "MERGEPOINT_HUB": json.dumps(told),
        "MERGEPOINT_HUB_IS_QUEUE": "0" if url else "1",
    }
    log = stack.enter_context((directory / "hub.log").open("wb"))
    hub = subprocess.Popen(
        [sys.executable, "-m", "mergepoint.assembly.hub"], env=environment, stdout=log, stderr=log
    )
    stack.callback(hub.wait)
    stack.callback(hub.terminate)
    if not wait_for(socket.exists, BOOT_S_MAX):
        raise RuntimeError((directory / "hub.log").read_text())
    own = f"hub+unix://{socket}"
    return json.dumps({"url": url or own, "hub": own, "site": "bench", "address": "bench/0"})


def wait_for(done: Callable[[], bool], limit_s: float) -> bool:
    """Tell whether something came true in time."""
    ends_s = time.monotonic() + limit_s
    while time.monotonic() < ends_s:
        if done():
            return True
        time.sleep(0.01)
    return False


def versions() -> dict[str, str]:
    """Return what was measured."""
    listed = subprocess.run(
        [str(tools()), "-m", "pip", "--disable-pip-version-check", "freeze"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    pairs = (line.split("==") for line in listed if "==" in line)
    peers = {"celery", "dramatiq", "huey", "pgqueuer", "procrastinate", "taskiq"}
    found = {name: version for name, version in pairs if name in peers}
    return {**found, "Python": sys.version.split()[0]}
