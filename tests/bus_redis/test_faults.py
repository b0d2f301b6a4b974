"""What happens when the server, the network or a worker goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from mergepoint_testkit.bus.acting import (
    PATIENCE_S,
    Watched,
    a_frozen_worker_finishes_nothing,
    a_killed_workers_job_comes_back,
    echo,
    message,
    put,
    put_when_possible,
    take,
)
from mergepoint_testkit.holder import holding
from mergepoint_testkit.redis import RedisServer, running_redis

from mergepoint.bus.adapters.redis import RedisEngine
from mergepoint.bus.contract import Change, Gap, Lease, Limits, Put, State
from mergepoint.bus.errors import BusError
from mergepoint.wire.envelope import Message

from .source import connected

QUEUE = "jobs"
HEARTBEAT = Limits(heartbeat_s=0.5)
RETURN_S_MAX = 5.0
"""From the server's return to a fresh message in a worker's hands."""


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may break."""
    with running_redis() as running:
        yield running


def restarted(server: RedisServer) -> None:
    server.stop()
    server.start()


def killed(server: RedisServer) -> None:
    server.kill()
    server.start()


def reset(server: RedisServer) -> None:
    for kind in ("normal", "pubsub"):
        server.command("CLIENT", "KILL", "TYPE", kind)


def reset_three_times(server: RedisServer) -> None:
    for _ in range(3):
        reset(server)
        time.sleep(0.3)


FAULTS = [restarted, killed, reset, reset_three_times]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__name__))
def test_a_waiting_worker_gets_a_fresh_message_soon_after_the_fault(
    own: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    async def go() -> float:
        async with connected(own) as worker, connected(own) as other:
            taking = asyncio.create_task(take(worker.engine, QUEUE))
            await asyncio.sleep(0.2)  # the worker waits by now; if not, the test asks for less
            await asyncio.to_thread(fault, own)
            began = time.monotonic()
            await put_when_possible(other.engine, QUEUE, b"fresh")
            lease = await taking
            took = time.monotonic() - began
            assert lease.message.data == b"fresh"
            assert await worker.engine.ack([lease]) == []
            return took

    took = asyncio.run(go())

    print(f"{fault.__name__}: a fresh message after {took:.2f} s")
    assert took < RETURN_S_MAX


def test_everything_is_restored_without_the_app_doing_anything(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as app, connected(own) as other:
            subscription = await app.engine.subscribe("news.*")
            await app.engine.serve("search", echo)
            await app.engine.join("app/0", {"version": "1"})
            await app.engine.bind(QUEUE, "news.*")
            await asyncio.to_thread(killed, own)
            for one in (app, other):
                await one.reaches(State.CONNECTED)
            await put_when_possible(other.engine, QUEUE, b"first")
            await other.engine.publish("news.a", message(b"after"))
            assert await anext(subscription) == Gap(0)
            after = await anext(subscription)
            assert isinstance(after, Message)
            assert after.data == b"after"
            answer = await other.engine.request("search", message(b"1"), timeout_s=PATIENCE_S)
            assert answer.data == b"1"
            watch = await other.engine.watch("app")
            change = await anext(aiter(watch))
            assert (change.change, change.member.address) == (Change.JOINED, "app/0")
            found = [(await take(other.engine, QUEUE)).message.data for _ in range(2)]
            assert sorted(found) == [b"after", b"first"]

    asyncio.run(go())


def test_a_server_that_answers_nothing_is_lost_within_two_heartbeats(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own, call_s=2.0) as worker:
            own.pause()
            try:
                began = time.monotonic()
                await worker.reaches(State.LOST)
                assert (
                    time.monotonic() - began < 2 * 0.5 + 2.0
                )  # two heartbeats, and a busy machine
                with pytest.raises(BusError) as refused:
                    await put(worker.engine, QUEUE, b"1")
                assert refused.value.code == "bus.lost"
            finally:
                own.resume()
            await worker.reaches(State.CONNECTED)
            await put(worker.engine, QUEUE, b"2")
            assert (await take(worker.engine, QUEUE)).message.data == b"2"

    asyncio.run(go())


def test_what_was_accepted_survives_kill_9_of_the_server(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as worker:
            for number in range(300):
                await put(worker.engine, QUEUE, b"%d" % number)
            await asyncio.to_thread(killed, own)
            await put_when_possible(worker.engine, QUEUE, b"300")
            found = [(await take(worker.engine, QUEUE)).message.data for _ in range(301)]
            assert found == [b"%d" % number for number in range(301)]

    asyncio.run(go())


def test_a_killed_workers_job_is_in_other_hands_before_its_lease_ends(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as other:
            await a_killed_workers_job_comes_back(other.engine, own.url(), QUEUE, HEARTBEAT)

    asyncio.run(go())


def test_a_process_killed_while_it_reclaims_blocks_nobody(own: RedisServer) -> None:
    jobs = 1500

    async def go() -> None:
        async with connected(own) as other:
            await other.engine.put(QUEUE, [Put(message=message()) for _ in range(jobs)])
            victim = holding(own.url(), QUEUE, count=jobs, limits=HEARTBEAT)
            try:
                assert [victim.said()["event"] for _ in range(2)] == ["open", "took"]
                sweepers = [holding(own.url(), "nothing", limits=HEARTBEAT) for _ in range(2)]
                try:
                    for sweeper in sweepers:
                        assert sweeper.said()["event"] == "open"
                    await asyncio.to_thread(victim.kill)
                    leases = [await take(other.engine, QUEUE)]
                    for sweeper in sweepers:  # some of the jobs are back, most are not
                        await asyncio.to_thread(sweeper.kill)
                    leases += await _all(other, jobs - 1)
                finally:
                    for sweeper in sweepers:
                        sweeper.end()
            finally:
                victim.end()
            assert len({lease.message.id for lease in leases}) == jobs
            assert {lease.attempt for lease in leases} == {2}

    asyncio.run(go())


async def _all(watched: Watched[RedisEngine], count: int) -> list[Lease]:
    leases: list[Lease] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(leases) < count:
            leases += await watched.engine.take(
                [QUEUE], worker="tests", limit=500, lease_s=600, wait_s=PATIENCE_S
            )
    return leases


def test_a_frozen_worker_cannot_finish_what_it_lost(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as other:
            await a_frozen_worker_finishes_nothing(other.engine, own.url(), QUEUE, HEARTBEAT)

    asyncio.run(go())


def test_a_primary_that_becomes_a_replica_is_lost_until_it_is_one_again(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as worker:
            own.command("REPLICAOF", "127.0.0.1", "1")
            await worker.reaches(State.LOST)
            own.command("REPLICAOF", "NO", "ONE")
            await worker.reaches(State.CONNECTED)
            await put(worker.engine, QUEUE, b"1")
            assert (await take(worker.engine, QUEUE)).message.data == b"1"

    asyncio.run(go())
