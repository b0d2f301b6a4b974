"""What a server is told to be, and what one that is full or not ours answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from mergepoint_testkit.bus.acting import Watched, message, put, refused, take
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.redis import RedisServer, running_redis

from mergepoint.bus.adapters.redis import RedisEngine
from mergepoint.bus.capabilities import Durability
from mergepoint.bus.contract import EntryState, Limits, Put, State
from mergepoint.bus.errors import BusError, BusFull, BusLost, BusRefused
from mergepoint.core.clock import SystemClock

from .source import connected

QUEUE = "jobs"


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may change."""
    with running_redis() as running:
        yield running


def opened(url: str) -> BusError | None:
    return refused(RedisEngine(url, Limits(), SystemClock()))


@pytest.mark.parametrize(
    ("options", "promised"),
    [
        ({"appendonly": "no"}, Durability.MEMORY),
        ({"appendonly": "yes", "appendfsync": "no"}, Durability.INTERVAL),
        ({"appendonly": "yes", "appendfsync": "everysec"}, Durability.INTERVAL),
        ({"appendonly": "yes", "appendfsync": "always"}, Durability.DURABLE),
    ],
    ids=lambda value: str(value) if isinstance(value, Durability) else "",
)
def test_durability_is_what_the_server_keeps(options: dict[str, str], promised: Durability) -> None:
    async def go(server: RedisServer) -> Durability | None:
        async with connected(server) as watched:
            return watched.engine.capabilities.queues

    with running_redis(options) as server:
        assert asyncio.run(go(server)) is promised


def test_what_a_provider_hides_is_taken_at_its_worst() -> None:
    async def go(server: RedisServer) -> Durability | None:
        async with connected(server) as watched:
            return watched.engine.capabilities.queues

    with running_redis({"appendfsync": "always"}) as server:
        server.command("ACL", "SETUSER", "default", "-config")
        assert asyncio.run(go(server)) is Durability.INTERVAL


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:{port}/0", "uthentication"),
        ("redis://:wrong@127.0.0.1:{port}/0", "WRONGPASS"),
        ("redis://nobody:wrong@127.0.0.1:{port}/0", "WRONGPASS"),
    ],
)
def test_wrong_credentials_are_refused_at_once(url: str, words: str) -> None:
    with running_redis(password="right") as server:
        error = opened(url.format(port=server.port))

        assert isinstance(error, BusRefused), error
        assert words in error.message or "invalid" in error.message
        assert opened(server.url()) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "evict"),
        ({"replicaof": "127.0.0.1 1"}, "replica"),
        ({"cluster-enabled": "yes"}, "cluster"),
    ],
    ids=["evicting", "replica", "cluster"],
)
def test_a_server_that_cannot_keep_the_promises_is_refused(
    options: dict[str, str], words: str
) -> None:
    with running_redis(options) as server:
        error = opened(server.url())

        assert isinstance(error, BusRefused), error
        assert words in error.message
        assert error.next


def test_nobody_there_is_lost_and_says_where() -> None:
    port = free_port()

    error = opened(f"redis://127.0.0.1:{port}/0")

    assert isinstance(error, BusLost), error
    assert str(port) in error.message


@pytest.mark.parametrize("url", ["redis://127.0.0.1:0/0?prefix=a*", "http://127.0.0.1/0"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BusRefused):
        RedisEngine(url, Limits(), SystemClock())


def test_full_memory_refuses_what_takes_room_and_lets_work_go_on(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as watched:
            engine = watched.engine
            await put(engine, QUEUE, b"1", b"2")
            held = await take(engine, QUEUE)
            own.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(BusFull):
                await put(engine, QUEUE, b"3")
            with pytest.raises(BusFull):
                await engine.publish("news", message())
            assert await engine.ack([held]) == []
            second = await take(engine, QUEUE)
            await engine.nack(second, reason="again")
            await engine.bury(await take(engine, QUEUE), reason="bad")
            assert [one.reason for one in await engine.dead(QUEUE)] == ["bad"]
            own.command("CONFIG", "SET", "maxmemory", "0")
            await put(engine, QUEUE, b"4")
            assert (await take(engine, QUEUE)).message.data == b"4"
            assert State.LOST not in watched.states

    asyncio.run(go())


def test_a_disk_that_cannot_be_written_is_full_and_work_goes_on_when_it_can() -> None:
    """Redis refuses writes (MISCONF) while its last snapshot failed."""

    async def go(own: RedisServer) -> None:
        async with connected(own) as watched:
            (own.directory / "taken").mkdir()
            await _until_refused(watched, own)
            (own.directory / "taken").rmdir()
            own.command("BGSAVE")
            await watched.reaches(State.CONNECTED)
            async with asyncio.timeout(20):
                while True:
                    try:
                        await put(watched.engine, QUEUE, b"on")
                    except (BusFull, BusLost):
                        await asyncio.sleep(0.05)
                    else:
                        break

    with running_redis({"dbfilename": "taken", "save": "3600 1"}) as server:
        asyncio.run(go(server))


async def _until_refused(watched: Watched[RedisEngine], own: RedisServer) -> None:
    own.command("BGSAVE")
    async with asyncio.timeout(20):
        while True:
            try:
                await put(watched.engine, QUEUE, b"1")
            except BusFull:
                return
            await asyncio.sleep(0.05)


def test_a_batch_larger_than_lua_can_unpack_is_one_step(own: RedisServer) -> None:
    count = 20_000

    async def go() -> None:
        async with connected(own, call_s=30.0, heartbeat_s=10.0) as watched:
            engine = watched.engine
            accepted = await engine.put(QUEUE, [Put(message=message()) for _ in range(count)])
            assert not any(one.duplicate for one in accepted)
            seen = await engine.browse(QUEUE, states=[EntryState.READY], limit=count)
            assert [entry.message.id for entry in seen] == [one.id for one in accepted]
            leases = await engine.take([QUEUE], worker="w", limit=count, lease_s=600, wait_s=0)
            assert len(leases) == count
            assert await engine.ack(leases) == []
            assert await engine.browse(QUEUE, states=list(EntryState)) == []

    asyncio.run(go())


def test_a_server_that_forgot_every_script_is_told_them_again(own: RedisServer) -> None:
    async def go() -> None:
        async with connected(own) as watched:
            await put(watched.engine, QUEUE, b"1")
            own.command("SCRIPT", "FLUSH")
            assert (await take(watched.engine, QUEUE)).message.data == b"1"

    asyncio.run(go())
