"""What happens when the broker, a connection or a worker goes away, and when the broker is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aio_pika
import pytest
from mergepoint_testkit.bus.acting import (
    PATIENCE_S,
    a_frozen_worker_finishes_nothing,
    a_killed_workers_job_comes_back,
    echo,
    message,
    put,
    put_when_possible,
    refused,
    take,
)
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.rabbitmq import RabbitServer

from mergepoint.bus.adapters.rabbitmq import RabbitmqEngine
from mergepoint.bus.contract import Change, Gap, Limits, State
from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

from .source import connected, queue_name

RETURN_S_MAX = 5.0
"""From the broker's return to a fresh message in a worker's hands."""


@pytest.fixture
def own(server: RabbitServer) -> RabbitServer:
    """The session's broker, which these tests may break: each leaves it running."""
    return server


def restarted(server: RabbitServer) -> None:
    server.stop()
    server.start()


def killed(server: RabbitServer) -> None:
    server.kill()
    server.start()


def reset(server: RabbitServer) -> None:
    server.control("close_all_connections", "tests")


@pytest.mark.parametrize("fault", [restarted, killed, reset], ids=lambda fault: str(fault.__name__))
def test_a_waiting_worker_gets_a_fresh_message_soon_after_the_fault(
    own: RabbitServer, fault: Callable[[RabbitServer], None]
) -> None:
    async def go() -> float:
        queue = queue_name()
        async with connected(own, young=True) as worker, connected(own) as other:
            await put(worker.engine, queue, b"first")
            await worker.engine.ack([await take(worker.engine, queue)])
            taking = asyncio.create_task(take(worker.engine, queue))
            await asyncio.sleep(0.3)  # the worker waits by now; if not, the test asks for less
            await asyncio.to_thread(fault, own)
            began = time.monotonic()
            await put_when_possible(other.engine, queue, b"fresh")
            lease = await taking
            took = time.monotonic() - began
            assert lease.message.data == b"fresh"
            assert await worker.engine.ack([lease]) == []
            return took

    took = asyncio.run(go())

    print(f"{fault.__name__}: a fresh message after {took:.2f} s")
    assert took < RETURN_S_MAX


def test_everything_is_restored_and_what_was_accepted_survives_kill_9(own: RabbitServer) -> None:
    async def go() -> None:
        queue = queue_name()
        async with connected(own, young=True) as app, connected(own) as other:
            subscription = await app.engine.subscribe("news.*")
            await app.engine.serve("search", echo)
            await app.engine.join("app/0", {"version": "1"})
            await app.engine.bind(queue, "news.*")
            for number in range(100):
                await put(app.engine, queue, b"%d" % number)
            await asyncio.to_thread(killed, own)
            for one in (app, other):
                await one.reaches(State.CONNECTED)
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
            found = [(await take(other.engine, queue)).message.data for _ in range(101)]
            assert found == [*(b"%d" % number for number in range(100)), b"after"]

    asyncio.run(go())


def test_a_killed_workers_job_is_in_other_hands_before_its_lease_ends(
    server: RabbitServer,
) -> None:
    async def go() -> None:
        async with connected(server) as other:
            await a_killed_workers_job_comes_back(
                other.engine, server.url(), queue_name(), Limits(heartbeat_s=2.0)
            )

    asyncio.run(go())


def test_a_frozen_worker_cannot_finish_what_it_lost(server: RabbitServer) -> None:
    async def go() -> None:
        async with connected(server) as other:
            await a_frozen_worker_finishes_nothing(
                other.engine, server.url(), queue_name(), Limits(heartbeat_s=0.5)
            )

    asyncio.run(go())


def test_a_wait_that_is_cancelled_costs_no_other_lease(server: RabbitServer) -> None:
    async def go() -> None:
        queue, quiet = queue_name(), queue_name()
        async with connected(server) as worker:
            await put(worker.engine, queue, b"1")
            lease = await take(worker.engine, queue)
            for pause_s in (0.0, 0.001, 0.005, 0.02, 0.1):
                waiting = asyncio.create_task(take(worker.engine, quiet))
                await asyncio.sleep(pause_s)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            assert await worker.engine.extend([lease], 600) == []
            assert await worker.engine.ack([lease]) == []
            assert State.LOST not in worker.states

    asyncio.run(go())


def test_a_memory_alarm_is_full_and_work_goes_on_and_comes_back(own: RabbitServer) -> None:
    async def go() -> None:
        queue = queue_name()
        async with connected(own) as worker:
            await put(worker.engine, queue, b"1")
            lease = await take(worker.engine, queue)
            await asyncio.to_thread(own.control, "set_vm_memory_high_watermark", "0")
            try:
                await _until_full(worker.engine, queue)
                assert await worker.engine.ack([lease]) == []
                with pytest.raises(BusFull):
                    await worker.engine.publish("news", message())
            finally:
                await asyncio.to_thread(own.control, "set_vm_memory_high_watermark", "0.8")
            await put_when_possible(worker.engine, queue, b"after")
            found = b""
            while found != b"after":
                one = await take(worker.engine, queue)
                found = one.message.data
                await worker.engine.ack([one])
            assert State.LOST not in worker.states

    asyncio.run(go())


async def _until_full(engine: RabbitmqEngine, queue: str) -> None:
    """Put until it is refused; one that was on its way when the alarm came is unknown."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await put(engine, queue, b"more")
            except BusFull:
                return
            except BusLost:
                continue
            await asyncio.sleep(0.05)


def opened(url: str) -> BusError | None:
    return refused(RabbitmqEngine(url, Limits(), SystemClock()))


def test_wrong_credentials_and_an_unknown_virtual_host_are_refused(server: RabbitServer) -> None:
    for url in (server.url(password="wrong"), server.url(user="nobody"), server.url("nowhere")):
        error = opened(url)

        assert isinstance(error, BusRefused), (url, error)
        assert error.next


def test_nobody_there_is_lost_and_says_where() -> None:
    port = free_port()

    error = opened(f"amqp://guest:guest@127.0.0.1:{port}/")

    assert isinstance(error, BusLost), error
    assert str(port) in error.message


def test_a_queue_that_somebody_declared_otherwise_is_refused_by_name(server: RabbitServer) -> None:
    async def go() -> None:
        queue = queue_name()
        async with connected(server) as worker:
            foreign = worker.engine._queues.name(queue)
            async with await aio_pika.connect(server.url()) as connection:
                channel = await connection.channel()
                await channel.declare_queue(foreign, durable=False)
                with pytest.raises(BusRefused) as refused:
                    await put(worker.engine, queue, b"1")
                assert foreign in refused.value.message
                await channel.queue_delete(foreign)
            await put(worker.engine, queue, b"2")
            assert (await take(worker.engine, queue)).message.data == b"2"
            assert State.LOST not in worker.states

    asyncio.run(go())


def test_a_queue_that_somebody_removed_is_made_again(server: RabbitServer) -> None:
    async def go() -> None:
        queue = queue_name()
        async with connected(server) as worker:
            await put(worker.engine, queue, b"1")
            async with await aio_pika.connect(server.url()) as connection:
                channel = await connection.channel()
                await channel.queue_delete(worker.engine._queues.name(queue))
            await put(worker.engine, queue, b"2")
            assert (await take(worker.engine, queue)).message.data == b"2"

    asyncio.run(go())


def test_many_messages_go_through_in_one_call(server: RabbitServer) -> None:
    async def go() -> None:
        queue = queue_name()
        async with connected(server, call_s=60.0) as worker:
            await put(worker.engine, queue, *(b"%d" % number for number in range(500)))
            leases = await worker.engine.take(
                [queue], worker="w", limit=500, lease_s=600, wait_s=PATIENCE_S
            )
            assert [lease.message.data for lease in leases] == [
                b"%d" % number for number in range(500)
            ]
            assert await worker.engine.ack(leases) == []

    asyncio.run(go())
