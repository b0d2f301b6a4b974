"""kill -9 of hubs and workers: nothing accepted is lost, nothing is done by whoever lost it.

Tried once, and each turned a test here red: without the fence (`Leases.get` by message instead of
by token) `test_a_worker_that_was_stopped_beyond_its_lease_completes_nothing`; answering before the
commit `test_what_put_returned_survives_any_crash[hub.before_commit]`; without the unique index and
its look-up `test_a_put_repeated_over_a_crash_is_accepted_once`; without returning a dead
connection's leases `test_a_killed_workers_job_is_taken_again_at_once`. Without the sync of a group
only a power cut shows: `test_a_group_is_synced_before_it_is_answered` counts the system's calls.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.bus.contract import Limits, Put
from mergepoint.bus.errors import BusLost

from .bus import QUEUE, connected, drain, message, put, run, take, until, whole
from .hub_process import HubProcess

ROUNDS = pytest.mark.parametrize(
    "rounds", [12, pytest.param(1000, marks=pytest.mark.soak)], ids=["short", "long"]
)
SEED = 20261121


@ROUNDS
def test_what_put_returned_survives_kill_9(hub: HubProcess, rounds: int) -> None:
    """Accepted ids are all there after each kill, none twice, in the order of one caller."""

    async def once(number: int) -> list[str]:
        engine = hub.engine()
        await engine.open(lambda _state, _reason: None)
        accepted: list[str] = []

        async def caller(lane: int) -> None:
            count = 0
            while True:
                id_ = f"{number}-{lane}-{count}"
                await engine.put(QUEUE, [Put(message=message(id_))])
                accepted.append(id_)
                count += 1

        callers = [asyncio.create_task(caller(lane)) for lane in range(4)]
        await until(_some(accepted, random.Random(SEED + number).randrange(1, 60)))
        hub.kill()
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        engine.vanish()
        return accepted

    async def left() -> list[str]:
        async with connected(hub) as engine:
            await whole(engine)
            return await drain(engine)

    for number in range(rounds):
        accepted = run(once(number))
        hub.start()
        found = run(left())
        assert set(accepted) <= set(found), f"round {number}, seed {SEED}"
        assert len(found) == len(set(found))
        for lane in range(4):
            mine = [id_ for id_ in found if id_.startswith(f"{number}-{lane}-")]
            assert mine == sorted(mine, key=lambda id_: int(id_.rpartition("-")[2]))


def _some(accepted: list[str], count: int) -> Callable[[], object]:
    async def enough() -> bool:
        return len(accepted) >= count

    return enough


@pytest.mark.parametrize(
    "point",
    [
        "hub.after_statements",
        "hub.before_commit",
        "hub.after_commit",
        "hub.before_answer",
        "hub.after_answer",
        "hub.before_checkpoint",
        "hub.after_checkpoint",
    ],
)
def test_what_put_returned_survives_any_crash(
    make_hub: Callable[..., HubProcess], point: str
) -> None:
    hub = make_hub().start(crash_at=f"{point}:{3 if 'checkpoint' not in point else 1}")
    data = b"x" * 200_000 if "checkpoint" in point else b"{}"

    async def fill() -> list[str]:
        engine = hub.engine(Limits(call_s=1.0, heartbeat_s=0.5))
        await engine.open(lambda _state, _reason: None)
        accepted = []
        try:
            for number in range(100):
                await engine.put(QUEUE, [Put(message=message(f"{number}", data))])
                accepted.append(f"{number}")
        except BusLost:
            pass
        engine.vanish()
        return accepted

    async def left() -> list[str]:
        async with connected(hub) as engine:
            await whole(engine)
            return await drain(engine)

    accepted = run(fill())
    assert hub.wait() == 137
    hub.start()
    found = run(left())
    assert len(accepted) < 100, "it crashed"
    assert found[: len(accepted)] == accepted
    assert len(found) <= len(accepted) + 1, "what was under way is there or not, once"


def test_a_put_repeated_over_a_crash_is_accepted_once(
    make_hub: Callable[..., HubProcess],
) -> None:
    hub = make_hub().start(crash_at="hub.before_answer:5")

    async def scenario() -> tuple[list[str], list[str]]:
        async with connected(hub) as engine:
            ids = [f"{number}" for number in range(10)]
            crashed = False
            for id_ in ids:
                putting = asyncio.create_task(put(engine, id_))
                await until(_one_of(putting.done, hub.is_gone))
                if hub.is_gone() and not crashed:  # committed, never answered
                    crashed = True
                    await asyncio.to_thread(hub.start)
                await putting
            assert crashed
            return ids, await drain(engine)

    ids, found = run(scenario())
    assert found == ids


def _one_of(*checks: Callable[[], bool]) -> Callable[[], object]:
    async def one() -> bool:
        return any(check() for check in checks)

    return one


@ROUNDS
def test_a_killed_workers_job_is_taken_again_at_once(hub: HubProcess, rounds: int) -> None:
    """A process dies by SIGKILL mid-job, whatever its lease; mostly within a second."""
    code = (
        "import asyncio, sys\n"
        "from mergepoint.bus.adapters.hub import HubEngine\n"
        "from mergepoint.bus.contract import Limits\n"
        "from mergepoint.core.clock import SystemClock\n"
        "async def main():\n"
        "    engine = HubEngine(sys.argv[1], Limits(), SystemClock())\n"
        "    await engine.open(lambda *_: None)\n"
        "    await engine.take(['mail'], worker='w', limit=1, lease_s=3600, wait_s=60)\n"
        "    print('TAKEN', flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    waits: list[float] = []

    async def once(number: int) -> None:
        async with connected(hub) as engine:
            await put(engine, f"job-{number}")
            worker = subprocess.Popen([sys.executable, "-c", code, hub.url], stdout=subprocess.PIPE)
            try:
                assert worker.stdout is not None
                assert await asyncio.to_thread(worker.stdout.readline) == b"TAKEN\n"
                again = asyncio.create_task(take(engine))
                await asyncio.sleep(0)
                began_s = time.monotonic()
                worker.kill()
                (lease,) = await again
                waits.append(time.monotonic() - began_s)
            finally:
                worker.kill()
                worker.wait()
            assert (lease.message.id, lease.attempt) == (f"job-{number}", 2)
            (entry,) = await engine.browse(QUEUE, states=["leased"])
            assert "connection ended" in entry.reason
            await engine.ack([lease])

    for number in range(max(3, rounds // 4)):
        run(once(number))
    assert sorted(waits)[len(waits) // 2] < 1.0


def test_a_worker_that_was_stopped_beyond_its_lease_completes_nothing(hub: HubProcess) -> None:
    code = (
        "import asyncio, sys\n"
        "from mergepoint.bus.adapters.hub import HubEngine\n"
        "from mergepoint.bus.contract import Limits\n"
        "from mergepoint.bus.errors import LeaseLost\n"
        "from mergepoint.core.clock import SystemClock\n"
        "async def main():\n"
        "    engine = HubEngine(sys.argv[1], Limits(heartbeat_s=60), SystemClock())\n"
        "    await engine.open(lambda *_: None)\n"
        "    (lease,) = await engine.take(['mail'], worker='w', limit=1, lease_s=0.5, wait_s=60)\n"
        "    print('TAKEN', flush=True)\n"
        "    await asyncio.to_thread(sys.stdin.readline)\n"
        "    lost = await engine.ack([lease])\n"
        "    late = await engine.extend([lease], 10)\n"
        "    try:\n"
        "        await engine.nack(lease)\n"
        "    except LeaseLost:\n"
        "        print('LOST', len(lost), len(late), flush=True)\n"
        "    await engine.close()\n"
        "asyncio.run(main())\n"
    )

    async def scenario() -> None:
        async with connected(hub) as engine:
            await put(engine, "a")
            worker = subprocess.Popen(
                [sys.executable, "-c", code, hub.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert worker.stdout is not None and worker.stdin is not None
            try:
                assert await asyncio.to_thread(worker.stdout.readline) == b"TAKEN\n"
                worker.send_signal(signal.SIGSTOP)
                (lease,) = await take(engine)
                assert lease.attempt == 2
                worker.send_signal(signal.SIGCONT)
                worker.stdin.write(b"\n")
                worker.stdin.flush()
                assert await asyncio.to_thread(worker.stdout.readline) == b"LOST 1 1\n"
                assert await engine.ack([lease]) == []
            finally:
                worker.kill()
                worker.wait()

    run(scenario())


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_group_is_synced_before_it_is_answered(hub: HubProcess, tmp_path: Path) -> None:
    """Between the request and its answer the hub asks the disk to keep what it wrote."""
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        f"exec strace -f -qq -e trace=fdatasync,fsync,sendto,write -o {trace} -p {hub.pid}",
        shell=True,
    )

    async def scenario() -> None:
        async with connected(hub) as engine:
            await until(_grows(trace))
            await put(engine, "a")

    try:
        run(scenario())
    finally:
        tracer.terminate()
        tracer.wait()
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    answers = [at for at, call in enumerate(calls) if '\\"ok\\"' in call]
    assert any("sync(" in call for call in calls[: answers[0]])


def _grows(trace: Path) -> Callable[[], object]:
    async def there() -> bool:
        return trace.exists() and trace.stat().st_size > 0

    return there
