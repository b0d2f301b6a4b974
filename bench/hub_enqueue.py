"""How many durable messages a second the hub accepts and works off, beside raw SQLite.

    .venv/bin/python -m bench.hub_enqueue [seconds] [durable|fast]

Every process puts messages of 200 bytes; one at a time, or with 64 in flight. The peer is one
SQLite file that every process opens itself, one transaction for each message, with the same
synchronous mode.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

DATA = b'{"to":"alice","text":"' + b"x" * 176 + b'"}'
HUB_LIMITS = Limits(queue_messages_max=50_000_000)


def percentiles(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return (
        f"p50 {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms, max {max(times) * 1e3:.0f} ms"
    )


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


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    durability = sys.argv[2] if len(sys.argv) > 2 else "durable"
    synchronous = "FULL" if durability == "durable" else "NORMAL"
    print(f"{durability}; SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    for processes, in_flight in ((1, 1), (8, 1), (1, 64), (4, 64)):
        with Hub(durability) as hub:
            times = together(processes, put_to_hub, hub.url, seconds, in_flight)
            every = [one for mine in times for one in mine]
            print(
                f"hub, {processes} x {in_flight}: {len(every) / seconds:,.0f}/s;"
                f" {percentiles(every)}"
            )
            if (processes, in_flight) == (4, 64):
                for batch in (1, 32):
                    began = time.perf_counter()
                    if batch == 1:
                        count = sum(together(2, take_some, hub.url, seconds))
                    else:
                        count = sum(together(2, work_off, hub.url, batch))
                    rate = count / (time.perf_counter() - began)
                    print(f"hub, ack and take, 2 workers, batch {batch}: {rate:,.0f}/s")
    for processes in (1, 8):
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as directory:
            path = f"{directory}/jobs.db"
            db = sqlite3.connect(path)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, data BLOB)")
            db.close()
            times = together(processes, put_to_file, path, seconds, synchronous)
            every = [one for mine in times for one in mine]
            print(f"sqlite3, {processes}: {len(every) / seconds:,.0f}/s; {percentiles(every)}")


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


if __name__ == "__main__":
    main()
