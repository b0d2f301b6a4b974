"""What goes wrong around the engine: cut connections, killed servers, dead or stopped workers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Change, Gap, Put, State
from mergepoint.bus.errors import BusError, BusLost
from mergepoint.wire.envelope import Message

from .scene import HEARTBEAT_S, PATIENCE_S, Make, engine_on, insist, message, take, until


def cut(url: str) -> int:
    """End every other session of the database, as an administrator does."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_cut_connections_lose_nothing_and_repeat_nothing(database: Make) -> None:
    url = database()

    async def scene() -> None:
        states: list[State] = []
        async with engine_on(url, states) as producer, engine_on(url) as consumer:
            taken: list[str] = []

            async def produce() -> None:
                for number in range(300):
                    put = Put(message=message(f"m{number}"))
                    await insist(lambda put=put: producer.put("q", [put]))

            async def consume() -> None:
                while len(set(taken)) < 300:
                    with contextlib.suppress(BusLost):
                        leases = await take(consumer, limit=10, lease_s=3.0, wait_s=1.0)
                        lost = {lease.token for lease in await consumer.ack(leases)}
                        taken.extend(
                            lease.message.id for lease in leases if lease.token not in lost
                        )

            async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as group:
                group.create_task(produce())
                group.create_task(consume_all(consume, consumer))
                ended = 0
                for _ in range(4):
                    await asyncio.sleep(0.2)
                    ended += await asyncio.to_thread(cut, url)  # none while both reconnect
                assert ended > 0
            assert State.LOST in states
            await until(lambda: states[-1] is State.CONNECTED)
            assert await take(consumer, wait_s=0.2) == []

    async def consume_all(consume: Callable[[], object], engine: PostgresEngine) -> None:
        """Consume until the queue is empty: an `ack` that was cut may have been done."""
        consuming = asyncio.ensure_future(consume())  # type: ignore[arg-type]
        while not consuming.done():
            await asyncio.sleep(0.1)
            with contextlib.suppress(BusError):
                stats = {one.name: one for one in await engine.queues()}
                with psycopg.connect(url) as connection:
                    ((seen,),) = connection.execute("SELECT count(*) FROM mergepoint.seen")
                one = stats.get("q")
                if seen == 300 and one and not (one.ready or one.leased or one.delayed):
                    assert not one.dead
                    consuming.cancel()
                    await asyncio.gather(consuming, return_exceptions=True)

    asyncio.run(scene())


def test_everything_comes_back_after_connections_were_cut(database: Make) -> None:
    url = database()

    async def answer(asked: Message) -> Message:
        return asked

    async def scene() -> None:
        states: list[State] = []
        async with engine_on(url, states) as one, engine_on(url) as other:
            heard = await one.subscribe("news")
            await one.serve("search", answer)
            await one.join("tickets/0", {"version": "3"})
            watching = await other.watch("tickets")
            assert (await anext(aiter(watching))).change is Change.JOINED
            waiting = asyncio.create_task(take(one))
            await asyncio.to_thread(cut, url)
            await until(lambda: State.LOST in states and states[-1] is State.CONNECTED)
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(aiter(heard)) == Gap(0)
                await insist(lambda: other.publish("news", message("n")))
                assert await anext(aiter(heard)) == message("n")
                await insist(lambda: other.put("q", [Put(message=message("m"))]))
                with contextlib.suppress(BusLost):
                    await waiting
                await insist(lambda: other.request("search", message("r"), timeout_s=5.0))
            members = [member.address for member in watching.known.values()]
            assert members == ["tickets/0"]

    asyncio.run(scene())


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


def test_what_was_accepted_survives_kill_9_of_the_server(own_server: Postgres) -> None:
    url = own_server.create("killed")

    async def scene() -> None:
        states: list[State] = []
        async with engine_on(url, states, reconnect_s_max=0.5) as engine:
            heard = await engine.subscribe("news")
            await engine.publish("count", message("v"), keep_last=True)
            for number in range(50):
                await engine.put("q", [Put(message=message(f"m{number}"))])
            (held,) = await take(engine, limit=1)
            await asyncio.to_thread(own_server.kill)
            await until(lambda: states[-1] is State.LOST)
            with pytest.raises(BusLost):
                await engine.put("q", [Put(message=message("never"))])
            await asyncio.to_thread(own_server.start)
            await until(lambda: states[-1] is State.CONNECTED)
            assert await engine.ack([held]) == []
            left = [lease.message.id for lease in await take(engine)]
            assert left == [f"m{number}" for number in range(50) if f"m{number}" != held.message.id]
            assert await engine.last("count") == message("v")
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(aiter(heard)) == Gap(0)
                await engine.publish("news", message("n"))
                while await anext(aiter(heard)) != message("n"):
                    pass

    asyncio.run(scene())


def test_a_silent_server_is_seen_within_two_heartbeats(own_server: Postgres) -> None:
    url = own_server.create("silent")

    async def scene() -> None:
        states: list[State] = []
        async with engine_on(url, states, call_s=2.0) as engine:
            await engine.put("q", [Put(message=message("m"))])
            own_server.pause()
            began = time.monotonic()
            try:
                await until(lambda: states[-1] is State.LOST)
                seen_s = time.monotonic() - began
            finally:
                own_server.resume()
            assert seen_s < 2 * (2 * HEARTBEAT_S) + 2.0  # twice the promise, for a busy machine
            await until(lambda: states[-1] is State.CONNECTED)
            assert [lease.message.id for lease in await take(engine)] == ["m"]

    asyncio.run(scene())


def test_a_killed_workers_job_runs_again_within_two_leases(database: Make) -> None:
    url, lease_s = database(), 15.0

    async def scene() -> None:
        async with engine_on(url) as engine:
            await engine.put("q", [Put(message=message("m"))])
            with _worker(url, lease_s) as worker:
                began = time.monotonic()
                worker.send_signal(signal.SIGKILL)
                (lease,) = await take(engine, wait_s=2 * lease_s)
            assert time.monotonic() - began < 2 * lease_s
            assert (lease.message.id, lease.attempt) == ("m", 2)

    asyncio.run(scene())


def test_a_stopped_worker_that_lost_its_job_cannot_finish_it(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            await engine.put("q", [Put(message=message("m"))])
            with _worker(url, lease_s=1.0) as worker:
                worker.send_signal(signal.SIGSTOP)
                (lease,) = await take(engine)
                worker.send_signal(signal.SIGCONT)
                said = await asyncio.to_thread(_finish, worker)
            assert said.split()[0] == "lost"
            assert await engine.ack([lease]) == []

    asyncio.run(scene())


def test_a_worker_that_was_paused_keeps_its_job_and_its_connection(database: Make) -> None:
    url = database()

    async def scene() -> None:
        async with engine_on(url) as engine:
            await engine.put("q", [Put(message=message("m"))])
            with _worker(url, lease_s=60.0) as worker:
                worker.send_signal(signal.SIGSTOP)
                # Six of its heartbeats, in which the other one looks for the dead.
                assert await take(engine, wait_s=6 * HEARTBEAT_S) == []
                worker.send_signal(signal.SIGCONT)
                said = await asyncio.to_thread(_finish, worker)
            assert said == "finished 0"

    asyncio.run(scene())


@contextlib.contextmanager
def _worker(url: str, lease_s: float) -> Iterator[subprocess.Popen[str]]:
    worker = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("worker.py")), url, "q", str(lease_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("took")
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def _finish(worker: subprocess.Popen[str]) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    return worker.stdout.readline().strip()
