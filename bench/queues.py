"""P5 to P8: how fast jobs are accepted and done, and what becomes of them after kill -9.

Place:  bench/programs/queues -> Redis, RabbitMQ, PostgreSQL, files -> [queues]
Rule:   the same jobs for everybody, counted by the marks they leave; each peer with the defaults of
        its own guide; a cell that took too long says so, and stays in.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mergepoint_testkit.corpora import python_tool
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.rabbitmq import running_rabbitmq
from mergepoint_testkit.redis import running_redis

from bench.measure import Result

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).parent / "programs" / "queues"
DONE_S_MAX = 120.0
"""How long a backlog may take; what is done by then is what counts."""
RECOVERY_S_MAX = 75.0
"""How long a lost job is waited for: more than twice the shortest default of any peer."""
HOLD_S = 3.0
BOOT_S_MAX = 60.0
CONCURRENCY = 4


@dataclass(frozen=True)
class Peer:
    """A queue on an engine: the program in bench/programs/queues, and what it is told."""

    name: str
    program: str
    broker: str
    """redis, rabbitmq, postgresql, sqlite or hub."""
    environment: dict[str, str] = field(default_factory=dict)


PEERS = (
    Peer("Celery prefork, Redis", "celery", "redis"),
    Peer("Celery threads, Redis", "celery", "redis", {"BENCH_POOL": "threads"}),
    Peer("Celery prefork, RabbitMQ", "celery", "rabbitmq"),
    Peer("Dramatiq, Redis", "dramatiq", "redis"),
    Peer("Dramatiq, RabbitMQ", "dramatiq", "rabbitmq"),
    Peer("Taskiq, Redis", "taskiq", "redis"),
    Peer("Taskiq, RabbitMQ", "taskiq", "rabbitmq"),
    Peer("Procrastinate", "procrastinate", "postgresql"),
    Peer("pgqueuer", "pgqueuer", "postgresql"),
    Peer("Huey, fsync", "huey", "sqlite", {"BENCH_FSYNC": "1"}),
    Peer("Huey", "huey", "sqlite"),
)
OURS = (
    Peer("Mergepoint, hub", "mergepoint", "hub"),
    Peer("Mergepoint, PostgreSQL", "mergepoint", "postgresql"),
    Peer("Mergepoint, Redis", "mergepoint", "redis"),
    Peer("Mergepoint, RabbitMQ", "mergepoint", "rabbitmq"),
)


class Stand:
    """One peer with a broker of its own namespace and files for the marks."""

    def __init__(self, peer: Peer, python: Path, broker: str, directory: Path) -> None:
        self.peer = peer
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

    def step(self, *words: str) -> str:
        """Run one step to its end and return what it printed."""
        done = subprocess.run(
            self._argv(*words), cwd=PROGRAMS, env=self._environment, capture_output=True,
            text=True, timeout=DONE_S_MAX * 2, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.peer.name}: {words} failed: {done.stderr[-2000:]}")
        return done.stdout.strip()

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
def stand(peer: Peer) -> Iterator[Stand]:
    """Give a peer on a fresh broker."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mp-queue-")))
        ours = peer.program == "mergepoint"
        python = Path(sys.executable) if ours else tools()
        made = Stand(peer, python, broker(peer, stack, directory), directory)
        made.step("setup")
        yield made


def tools() -> Path:
    """Return the interpreter of the peers' environment."""
    requirements = ROOT / "requirements" / "queues.txt"
    return python_tool(ROOT / ".tools", "queues", requirements, "celery").parent / "python"


def broker(peer: Peer, stack: contextlib.ExitStack, directory: Path) -> str:
    """Start the engine of a peer and return its address."""
    url = engine(peer, stack, directory)
    return hub_beside(url, stack, directory) if peer.program == "mergepoint" else url


def engine(peer: Peer, stack: contextlib.ExitStack, directory: Path) -> str:
    """Start a server where the peer needs one."""
    if peer.broker == "redis":
        options = {"appendonly": "yes", "appendfsync": "everysec"}
        return stack.enter_context(running_redis(options)).url()
    if peer.broker == "rabbitmq":
        return stack.enter_context(running_rabbitmq()).url()
    if peer.broker == "postgresql":
        return stack.enter_context(running_postgres()).create("bench")
    return f"sqlite://{directory / 'queue.db'}" if peer.broker == "sqlite" else ""


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


def enqueue_per_s(of: Stand, number: int) -> float:
    """Return how many jobs are accepted each second, one at a time from one process."""
    return number / float(of.step("enqueue", str(number)))


def jobs_per_s(of: Stand) -> float:
    """Return how fast a worker empties what waits, from its first mark on."""
    wanted = number_waiting(of)
    with of.worker():
        if not wait_for(lambda: of.counted() > 0, BOOT_S_MAX):
            return 0.0
        began_s, first = time.monotonic(), of.counted()
        wait_for(lambda: of.counted() >= wanted, DONE_S_MAX)
        return (of.counted() - first) / (time.monotonic() - began_s)


def number_waiting(of: Stand) -> int:
    """Return how many jobs `enqueue_per_s` has left: those for warming, and those measured."""
    return int((of.count.parent / "enqueued").read_text())


def recovery_s(of: Stand) -> float:
    """Return how long a job is not run after kill -9 of its worker while another one stands by.

    Infinite when it did not come back within `RECOVERY_S_MAX`.
    """
    with of.worker(), of.worker():
        of.step("hold", "first", "0.1")
        if not wait_for(lambda: bool(of.started("first")), BOOT_S_MAX):
            raise RuntimeError(f"{of.peer.name}: no worker works")
        time.sleep(3)  # both are up, and have said so to whoever wants to know
        of.step("hold", "held", str(HOLD_S))
        wait_for(lambda: bool(of.started("held")), BOOT_S_MAX)
        [(_, group)] = of.started("held")
        os.killpg(group, signal.SIGKILL)
        killed_s = time.monotonic()
        wait_for(lambda: len(of.started("held")) > 1, RECOVERY_S_MAX)
        again = of.started("held")[1:]
        return again[0][0] - killed_s if again else float("inf")


def run(*, quick: bool) -> list[Result]:
    """Measure everybody in turn, three rounds."""
    rounds, number = (1, 300) if quick else (3, 3000)
    everybody = [*OURS, *PEERS]
    accepted: dict[str, list[float]] = {peer.name: [] for peer in everybody}
    done: dict[str, list[float]] = {peer.name: [] for peer in everybody}
    recovered: dict[str, list[float]] = {peer.name: [] for peer in everybody}
    for _ in range(rounds):
        for peer in everybody:
            with stand(peer) as made:
                (made.count.parent / "enqueued").write_text(str(number + (number // 10 or 1)))
                accepted[peer.name].append(enqueue_per_s(made, number))
                done[peer.name].append(jobs_per_s(made))
            with stand(peer) as made:
                recovered[peer.name].append(recovery_s(made))
            print(
                f"  {peer.name:28} {accepted[peer.name][-1]:8.0f} enqueued/s"
                f" {done[peer.name][-1]:8.0f} jobs/s {recovered[peer.name][-1]:8.2f} s to recover"
            )
    return [
        result("P5 enqueue", "Jobs accepted each second, one process, one at a time", accepted),
        result(
            "P6 P7 jobs", f"No-op jobs done each second, one worker, {CONCURRENCY} at once", done
        ),
        result("P8 recovery", "Seconds from kill -9 to the job's next start", recovered, less=True),
    ]


def result(
    name: str, question: str, rounds: dict[str, list[float]], *, less: bool = False
) -> Result:
    """Return one table; what never came back is the limit that was waited for."""
    capped = {
        peer: [min(v, RECOVERY_S_MAX) for v in of] if less else of for peer, of in rounds.items()
    }
    return Result(
        name=name, question=question, unit="s" if less else "/s", versions=versions(),
        rounds=capped, higher_is_better=not less,
    )  # fmt: skip


def versions() -> dict[str, str]:
    """Return what was measured."""
    listed = subprocess.run(
        [str(tools()), "-m", "pip", "--disable-pip-version-check", "freeze"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    pairs = (line.split("==") for line in listed if "==" in line)
    peers = {"celery", "dramatiq", "huey", "pgqueuer", "procrastinate", "taskiq"}
    return {name: version for name, version in pairs if name in peers}
