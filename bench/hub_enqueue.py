"""P5: how many durable messages a second the hub accepts, beside Huey's SQLite and SQLite itself.

    .venv/bin/python -m bench queues
    .venv/bin/python -m bench.hub_enqueue [seconds]    these alone, and how fast they are worked off

Every process puts messages of 200 bytes; one at a time, or with 64 in flight. SQLite itself is one
file that every process opens, one transaction for each message, with fsync, as Huey's is.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import Result
from bench.queues_stand import BOOT_S_MAX, Engines, Peer, stand, versions, wait_for
from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

DATA = b'{"to":"alice","text":"' + b"x" * 176 + b'"}'
HUB_LIMITS = Limits(queue_messages_max=50_000_000)
HUEY = Peer("Huey, fsync", "huey", "sqlite", {"BENCH_FSYNC": "1"})
ROUNDS, SECONDS = 5, 1.5


def together(count: int, run, *arguments) -> list:
    """Run in so many processes, all beginning at one moment; return what each returns."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    barrier = context.Barrier(count)

    def one(number: int) -> None:
        barrier.wait()
        results.put(run(number, *arguments))

    processes = [context.Process(target=one, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def put_to_hub(number: int, url: str, seconds: float, in_flight: int) -> list[float]:
    async def run() -> list[float]:
        engine = HubEngine(url, HUB_LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        times: list[float] = []
        until = time.perf_counter() + seconds

        async def caller(lane: int) -> None:
            count = 0
            while (began := time.perf_counter()) < until:
                count += 1
                id_ = f"{os.getpid()}-{number}-{lane}-{count}"
                message = Message(id=id_, source="/bench", type="mail", data=DATA)
                await engine.put("mail", [Put(message=message)])
                times.append(time.perf_counter() - began)

        await asyncio.gather(*(caller(lane) for lane in range(in_flight)))
        await engine.close()
        return times

    return asyncio.run(run())


def put_to_file(number: int, path: str, seconds: float, synchronous: str) -> list[float]:
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute(f"PRAGMA synchronous = {synchronous}")
    times: list[float] = []
    until = time.perf_counter() + seconds
    count = 0
    while (began := time.perf_counter()) < until:
        count += 1
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO jobs (id, data) VALUES (?, ?)", (f"{number}-{count}", DATA))
        db.execute("COMMIT")
        times.append(time.perf_counter() - began)
    return times


def work_off(_number: int, url: str, batch: int) -> int:
    async def run() -> int:
        engine = HubEngine(url, HUB_LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        count = 0
        leases = await engine.take(["mail"], worker="w", limit=batch, lease_s=60, wait_s=0)
        while leases:
            count += len(leases)
            _, leases = await asyncio.gather(
                engine.ack(leases),
                engine.take(["mail"], worker="w", limit=batch, lease_s=60, wait_s=0),
            )
        await engine.close()
        return count

    return asyncio.run(run())


class Hub:
    """A hub process in a directory of its own."""

    def __init__(self, durability: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hub-bench-"))
        self.url = f"hub+unix://{self.directory}/hub.sock"
        reading, writing = os.pipe()
        document = (
            f'{{"state_dir": "{self.directory}", "socket": "{self.directory}/hub.sock",'
            f' "durability": "{durability}", "limits": {{"queue_messages_max": 50000000}}}}'
        )
        environment = {**os.environ, "MERGEPOINT_HUB": document}
        environment["MERGEPOINT_READY_FD"] = str(writing)
        command = [sys.executable, "-m", "mergepoint.bus.hub"]
        if os.environ.get("HUB_PROFILE"):
            command[1:1] = ["-m", "cProfile", "-o", os.environ["HUB_PROFILE"]]
        self.process = subprocess.Popen(
            command, env=environment, pass_fds=[writing], stderr=subprocess.DEVNULL
        )
        os.close(writing)
        os.read(reading, 6)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


def take_some(_number: int, url: str, seconds: float) -> int:
    async def run() -> int:
        engine = HubEngine(url, HUB_LIMITS, SystemClock())
        await engine.open(lambda _state, _reason: None)
        count = 0
        until = time.perf_counter() + seconds
        leases = await engine.take(["mail"], worker="w", limit=1, lease_s=60, wait_s=0)
        while leases and time.perf_counter() < until:
            count += 1
            _, leases = await asyncio.gather(
                engine.ack(leases),
                engine.take(["mail"], worker="w", limit=1, lease_s=60, wait_s=0),
            )
        await engine.close()
        return count

    return asyncio.run(run())


def hub_per_s(processes: int, in_flight: int, seconds: float) -> float:
    """Return how many messages a fresh hub accepts each second."""
    with Hub("durable") as hub:
        times = together(processes, put_to_hub, hub.url, seconds, in_flight)
    return sum(len(mine) for mine in times) / seconds


def sqlite_per_s(processes: int, seconds: float) -> float:
    """Return how many rows processes write each second, a transaction for each."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as directory:
        path = f"{directory}/jobs.db"
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, data BLOB)")
        db.close()
        times = together(processes, put_to_file, path, seconds, "FULL")
    return sum(len(mine) for mine in times) / seconds


def huey_per_s(processes: int, seconds: float) -> float:
    """Return how many jobs Huey accepts each second from so many processes."""
    with contextlib.ExitStack() as stack:
        of = stack.enter_context(stand(HUEY, Engines(stack)))
        steps = [of.begin("enqueue_for", str(seconds)) for _ in range(processes)]
        if not wait_for(lambda: of.counted() >= processes, BOOT_S_MAX):
            raise RuntimeError("Huey's processes do not start")
        (of.directory / "go").touch()
        return sum(int(of.end(step)) for step in steps) / seconds


def run(*, quick: bool) -> list[Result]:
    """Measure in turn: one process, eight, and one with 64 messages in flight."""
    rounds, seconds = (1, 0.5) if quick else (ROUNDS, SECONDS)
    one = _measured(
        rounds,
        {
            "SQLite": lambda: sqlite_per_s(1, seconds),
            "Huey, fsync": lambda: huey_per_s(1, seconds),
            "Mergepoint": lambda: hub_per_s(1, 1, seconds),
            "Mergepoint, 64 in flight": lambda: hub_per_s(1, 64, seconds),
        },
    )
    eight = _measured(
        rounds,
        {
            "SQLite": lambda: sqlite_per_s(8, seconds),
            "Huey, fsync": lambda: huey_per_s(8, seconds),
            "Mergepoint": lambda: hub_per_s(8, 1, seconds),
            "Mergepoint, 64 in flight": lambda: hub_per_s(8, 64, seconds),
        },
    )
    return [
        _result("P5 durable puts 1 process", one, 0.6),
        _result("P5 durable puts 8 processes", eight, 2.0),
    ]


def _measured(rounds: int, ways: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(f"  puts {name:26} {found[name][-1]:8.0f}/s", flush=True)
    return found


def _result(name: str, rounds: dict[str, list[float]], reach: float) -> Result:
    return Result(
        name=name,
        question="Messages of 200 bytes on the disk each second, one at a time in each process",
        unit="/s",
        versions={**versions(), "SQLite": sqlite3.sqlite_version},
        rounds=rounds,
        reach={"SQLite": reach, "Huey, fsync": reach},
    )


def main() -> None:
    """Print what `run` measures, and how fast messages are worked off."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    run(quick=len(sys.argv) <= 1)
    with Hub("durable") as hub:
        together(4, put_to_hub, hub.url, seconds, 64)
        for name, work in (("1", take_some), ("32", work_off)):
            began = time.perf_counter()
            count = sum(together(2, work, hub.url, seconds if name == "1" else 32))
            rate = count / (time.perf_counter() - began)
            print(f"  ack and take, 2 workers, {name} at a time: {rate:,.0f}/s")


if __name__ == "__main__":
    main()
