"""The proxy does what it is told to, on TCP and on Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from mergepoint_testkit.bus.proxy import FaultProxy

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Act = Callable[[FaultProxy, Ends], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxied(kind: str, directory: Path) -> AsyncIterator[tuple[FaultProxy, Ends]]:
    if kind == "unix":
        target = str(directory / "echo.sock")
        server = await asyncio.start_unix_server(echo, target)
    else:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    proxy = FaultProxy(target)
    await proxy.start()
    ends = await connect(proxy)
    try:
        yield proxy, ends
    finally:
        ends[1].close()
        await proxy.stop()
        server.close()


async def connect(proxy: FaultProxy) -> Ends:
    if "/" in proxy.address:
        return await asyncio.open_unix_connection(proxy.address)
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def said(ends: Ends, data: bytes) -> bytes:
    ends[1].write(data)
    return await ends[0].readexactly(len(data))


@pytest.fixture(params=["tcp", "unix"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Act], None]:
    def running(act: Act) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), proxied(request.param, tmp_path) as (proxy, ends):
                await act(proxy, ends)

        asyncio.run(main())

    return running


def test_what_is_sent_goes_through_whole(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        data = bytes(range(256)) * 4096
        assert await said(ends, data) == data
        assert proxy.connections == 1

    run(act)


def test_a_reset_ends_both_ends_at_once(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        await said(ends, b"1")
        await proxy.reset()
        with suppress(ConnectionResetError):
            assert await ends[0].read() == b""
        assert await said(await connect(proxy), b"2") == b"2"

    run(act)


def test_a_black_hole_keeps_what_goes_in_until_it_heals(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        await said(ends, b"1")
        proxy.black_hole()
        ends[1].write(b"2")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ends[0].read(1)
        proxy.heal()
        assert await ends[0].read(1) == b"2"

    run(act)


def test_a_half_open_connection_says_nothing(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        await said(ends, b"1")
        await proxy.half_open()
        ends[1].write(b"2")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ends[0].read(1)
        assert await said(await connect(proxy), b"3") == b"3"

    run(act)


def test_a_slow_connection_keeps_the_order(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        proxy.slow(0.05)
        begun = asyncio.get_running_loop().time()
        assert await said(ends, b"1") == b"1"
        assert asyncio.get_running_loop().time() - begun >= 0.1
        assert await said(ends, b"23") == b"23"

    run(act)


def test_a_proxy_that_refuses_is_back_at_the_same_place(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        place = proxy.address
        await proxy.refuse()
        with pytest.raises(OSError):
            await connect(proxy)
        await proxy.accept()
        assert proxy.address == place
        assert await said(await connect(proxy), b"1") == b"1"

    run(act)


def test_who_connects_again_is_awaited(run) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        coming = asyncio.create_task(proxy.reconnected())
        await asyncio.sleep(0)
        assert not coming.done()
        await connect(proxy)
        await coming

    run(act)


def test_a_broker_that_is_gone_ends_the_connection(run, tmp_path: Path) -> None:
    async def act(proxy: FaultProxy, ends: Ends) -> None:
        lonely = FaultProxy(str(tmp_path / "nobody.sock"))
        await lonely.start()
        reader, writer = await connect(lonely)
        assert await reader.read() == b""
        writer.close()
        await lonely.stop()

    run(act)
