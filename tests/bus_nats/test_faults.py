"""Servers that restart, stand still or refuse, and workers that die: what becomes of the work."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from mergepoint_testkit.bus import acting
from mergepoint_testkit.bus.acting import (
    PATIENCE_S,
    Watched,
    a_frozen_worker_finishes_nothing,
    a_killed_workers_job_comes_back,
    echo,
    insist,
    message,
    take,
)
from mergepoint_testkit.nats import NatsServer, running_nats

from mergepoint.bus.adapters.nats import NatsEngine
from mergepoint.bus.adapters.nats_wire import settings_of
from mergepoint.bus.capabilities import Durability
from mergepoint.bus.contract import Change, Gap, Limits, Put, State
from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused, LeaseLost, MessageTooLarge
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

LIMITS = Limits(lease_s=2.5, heartbeat_s=0.5, reconnect_s_max=0.5, call_s=3.0)
FRESH_S = 5.0
"""A fresh message is consumed this soon after the server is back."""


@pytest.fixture
def server() -> Iterator[NatsServer]:
    """A server of the test's own."""
    with running_nats() as one:
        yield one


@contextlib.asynccontextmanager
async def opened(
    url: str, limits: Limits = LIMITS
) -> AsyncIterator[tuple[NatsEngine, Watched[NatsEngine]]]:
    """Give an engine and what it told of its state."""
    async with acting.opened(NatsEngine(url, limits, SystemClock())) as watched:
        yield watched.engine, watched


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_a_fresh_message_is_consumed_soon_after_the_server_is_back(
    server: NatsServer, fault: str
) -> None:
    async def story() -> float:
        async with opened(server.url()) as (worker, told), opened(server.url()) as (other, _):
            await other.put("mail", [Put(message=message(b"1"))])
            await worker.ack([await take(worker, "mail")])
            waiting = asyncio.create_task(take(worker, "mail"))
            await asyncio.to_thread(getattr(server, fault))
            await told.reaches(State.LOST)
            await asyncio.to_thread(server.start)
            back = time.monotonic()
            await insist(lambda: other.put("mail", [Put(message=message(b"2"))]))
            assert (await waiting).message.data == b"2"
            return time.monotonic() - back

    assert asyncio.run(story()) < FRESH_S


def test_what_was_accepted_and_leased_outlives_kill_9(server: NatsServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, told):
            await engine.put("mail", [Put(message=message(b"%d" % n)) for n in range(50)])
            first = await take(engine, "mail")
            await asyncio.to_thread(server.kill)
            await told.reaches(State.LOST)
            await asyncio.to_thread(server.start)
            await told.reaches(State.CONNECTED)
            assert await engine.ack([first]) == []
            rest = [await take(engine, "mail") for _ in range(49)]
            assert [lease.message.data for lease in rest] == [b"%d" % n for n in range(1, 50)]

    asyncio.run(story())


def test_listeners_servers_members_and_bindings_come_back(server: NatsServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, told), opened(server.url()) as (other, seen):
            listening = await engine.subscribe("news.*")
            await engine.bind("wiki", "news.*")
            await engine.serve("search", echo)
            await engine.join("search/0", {"version": "3"})
            changes = aiter(await other.watch("search"))
            assert (await anext(changes)).change is Change.JOINED
            await asyncio.to_thread(server.kill)
            await told.reaches(State.LOST)
            await asyncio.to_thread(server.start)
            await told.reaches(State.CONNECTED)
            await seen.reaches(State.CONNECTED)
            await insist(lambda: other.publish("news.a", message(b"1")))
            items = aiter(listening)
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(items) == Gap(0)
                got = await anext(items)
            assert isinstance(got, Message)
            assert got.data == b"1"
            assert (await take(engine, "wiki")).message.data == b"1"
            asked = await other.request("search", message(b"q"), timeout_s=PATIENCE_S)
            assert asked.data == b"q"
            late = aiter(await other.watch("search"))
            async with asyncio.timeout(PATIENCE_S):
                assert (await anext(late)).member.address == "search/0"

    asyncio.run(story())


def test_a_server_that_stands_still_is_lost_within_heartbeats_and_found_again(
    server: NatsServer,
) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, told):
            await engine.put("mail", [Put(message=message(b"1"))])
            server.pause()
            await told.reaches(State.LOST)
            with pytest.raises(BusLost):
                await engine.put("mail", [Put(message=message(b"2"))])
            server.resume()
            await told.reaches(State.CONNECTED)
            assert (await take(engine, "mail")).message.data == b"1"

    asyncio.run(story())


def test_wrong_credentials_are_refused_with_what_to_do() -> None:
    async def story(url: str) -> None:
        with pytest.raises(BusRefused) as caught:
            await NatsEngine(url, LIMITS, SystemClock()).open(lambda _s, _r: None)
        assert "wrong-secret" not in str(caught.value)
        assert caught.value.next

    with running_nats(user="site", password="right") as server:
        asyncio.run(story(server.url(password="wrong-secret")))


def test_a_server_without_jetstream_is_refused_with_what_to_do() -> None:
    async def story(url: str) -> None:
        with pytest.raises(BusRefused, match="JetStream"):
            await NatsEngine(url, LIMITS, SystemClock()).open(lambda _s, _r: None)

    with running_nats(jetstream=False) as server:
        asyncio.run(story(server.url()))


def test_nobody_there_is_lost(server: NatsServer) -> None:
    server.stop()

    async def story() -> None:
        with pytest.raises(BusLost, match="not answer"):
            await NatsEngine(server.url(), LIMITS, SystemClock()).open(lambda _s, _r: None)

    asyncio.run(story())


def test_a_full_store_is_told_and_work_goes_on_when_there_is_room() -> None:
    data = b"x" * 200_000

    async def story(url: str) -> None:
        async with opened(url) as (engine, _):
            accepted = 0
            with pytest.raises(BusFull):
                for _ in range(100):
                    await engine.put("mail", [Put(message=message(data))])
                    accepted += 1
            assert 0 < accepted < 100
            for _ in range(accepted):
                assert await engine.ack([await take(engine, "mail")]) == []
            await engine.put("mail", [Put(message=message(data))])

    with running_nats(store_bytes_max=4 * 1024 * 1024) as server:
        asyncio.run(story(server.url()))


def test_the_servers_own_limit_of_a_message_is_the_engines(server: NatsServer) -> None:
    async def story() -> None:
        limits = Limits(message_bytes_max=64 * 1024 * 1024)
        async with opened(server.url(), limits) as (engine, _):
            most = engine.capabilities.message_bytes_max
            assert most < 1024 * 1024
            await engine.publish("a", message(b"x" * most))
            with pytest.raises(MessageTooLarge):
                await engine.publish("a", message(b"x" * (most + 1)))

    asyncio.run(story())


def test_durability_is_not_claimed_beyond_what_the_server_does(server: NatsServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, _):
            assert engine.capabilities.queues is Durability.INTERVAL
        with pytest.raises(BusRefused, match="sync"):
            url = server.url("sync=always")
            await NatsEngine(url, LIMITS, SystemClock()).open(lambda _s, _r: None)

    asyncio.run(story())


@pytest.mark.parametrize(
    "url",
    [
        "nats://h?prefx=a",
        "nats://h?prefix=a.b",
        "nats://h?replicas=2",
        "nats://",
        "nats://h?sync=on",
    ],
)
def test_an_url_that_says_nonsense_is_refused(url: str) -> None:
    with pytest.raises(BusRefused):
        settings_of(url)


def test_a_killed_workers_job_is_back_within_two_leases(server: NatsServer) -> None:
    async def story() -> float:
        async with opened(server.url()) as (engine, _):
            return await a_killed_workers_job_comes_back(engine, server.url(), "mail", LIMITS)

    assert asyncio.run(story()) < 2 * LIMITS.lease_s + 2


def test_a_worker_that_stood_still_beyond_its_lease_completes_nothing(server: NatsServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, _):
            await a_frozen_worker_finishes_nothing(engine, server.url(), "mail", LIMITS)

    asyncio.run(story())


def test_an_old_lease_completes_nothing_even_if_its_holder_never_noticed(
    server: NatsServer,
) -> None:
    """The holder's own clock is put out of the way: the server's record alone must refuse it."""

    async def story() -> None:
        async with opened(server.url()) as (old, _), opened(server.url()) as (new, _):
            await old.put("mail", [Put(message=message(b"1"))])
            lease = await take(old, "mail")
            held = old._queues.leases._held[lease.token]
            old._queues.leases.stop()  # no sign of progress any more: as if it stood still
            again = await take(new, "mail")
            held.ends_at = time.monotonic() + 60.0
            assert await old.ack([lease]) == [lease]
            with pytest.raises(LeaseLost):
                await old.nack(lease)
            assert await new.extend([again], 60.0) == []
            assert await new.ack([again]) == []

    asyncio.run(story())


def test_an_error_of_the_bus_is_one_whatever_is_called_while_it_is_away(
    server: NatsServer,
) -> None:
    async def story() -> None:
        async with opened(server.url(), Limits(call_s=0.3, heartbeat_s=0.5)) as (engine, told):
            await asyncio.to_thread(server.kill)
            await told.reaches(State.LOST)
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: engine.publish("a", message(b"1")),
                lambda: engine.put("a", [Put(message=message(b"1"))]),
                lambda: engine.take(["a"], worker="w", limit=1, lease_s=9, wait_s=0.1),
                lambda: engine.subscribe("a"),
                lambda: engine.dead("a"),
                lambda: engine.queues(),
                lambda: engine.topics(),
                lambda: engine.join("a/0", {}),
            ]
            for call in calls:
                with pytest.raises(BusError) as caught:
                    await call()
                assert isinstance(caught.value, BusLost)

    asyncio.run(story())
