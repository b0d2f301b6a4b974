"""What anybody may send to a hub, and what it costs: one connection at most, never the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from mergepoint_testkit.certificates import issue

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Gap, Limits
from mergepoint.bus.errors import BusLost, BusRefused
from mergepoint.core.clock import SystemClock
from mergepoint.wire.frames import Frame, FrameReader, encode, encode_json

from .bus import PATIENCE_S, QUEUE, connected, drain, message, put, run
from .hub_process import HubProcess

HELLO = {"hello": 1}


class Raw:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._frames = FrameReader()
        self._came: list[Frame] = []

    @classmethod
    async def to(cls, hub: HubProcess, *, hello: bool = True) -> Raw:
        raw = cls(*await asyncio.open_unix_connection(str(hub.socket)))
        if hello:
            raw.send(HELLO)
            assert (await raw.next()).head["hello"] == 1
        return raw

    def send(self, head: dict[str, Any], *parts: bytes) -> None:
        self.writer.write(encode_json(head, parts))

    async def next(self) -> Frame:
        """Return the next frame that is no beat."""
        while True:
            while self._came:
                frame = self._came.pop(0)
                if "beat" not in frame.head:
                    return frame
            async with asyncio.timeout(PATIENCE_S):
                data = await self._reader.read(65536)
            if not data:
                raise EOFError
            self._came += self._frames.feed(data)

    async def ask(self, head: dict[str, Any], *parts: bytes) -> Any:
        self.send({"i": 1, **head}, *parts)
        return (await self.next()).head

    async def refused(self) -> str:
        """Return why it was cut off."""
        reason = ""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                reason = (await self.next()).head.get("error", {}).get("message", reason)
        return reason


async def still_serves(hub: HubProcess) -> None:
    async with connected(hub) as engine:
        await put(engine, "alive")
        assert await drain(engine) == ["alive"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        pack(">II", 2**32 - 1, 2) + b"{}",
        pack(">II", 100, 2**31),
        encode(b"[]"),
        encode(b'{"hello":'),
        encode(b"\x00" * 100),
    ],
    ids=["http", "huge", "head", "list", "cut", "zeros"],
)
@pytest.mark.parametrize("hello", [True, False], ids=["known", "unknown"])
def test_garbage_ends_its_connection_and_nothing_else(
    hub: HubProcess, garbage: bytes, hello: bool
) -> None:
    async def scenario() -> None:
        raw = await Raw.to(hub, hello=hello)
        raw.writer.write(garbage)
        assert await raw.refused()
        await still_serves(hub)

    run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        {"op": "no-such"},
        {"op": 7},
        {},
        {"op": "put"},
        {"op": "put", "queue": "a b", "puts": []},
        {"op": "put", "queue": QUEUE, "puts": 7},
        {"op": "put", "queue": QUEUE, "puts": [["a", 1, 2]]},
        {"op": "put", "queue": QUEUE, "puts": [["a", -1, 1]]},
        {"op": "put", "queue": QUEUE, "puts": [["a", 0, 0, {"priority": 10}]]},
        {"op": "put", "queue": QUEUE, "puts": [["a", 0, 0, {"not_before": "soon"}]]},
        {"op": "take", "queues": QUEUE},
        {"op": "take", "queues": [QUEUE], "lease_s": -1},
        {"op": "take", "queues": [1]},
        {"op": "ack", "tokens": "all"},
        {"op": "ack", "tokens": [None]},
        {"op": "nack", "token": 5},
        {"op": "extend", "tokens": []},
        {"op": "publish", "topic": "*", "n": [0, 0]},
        {"op": "publish", "topic": "a", "n": [5, 5]},
        {"op": "subscribe", "sub": 1, "pattern": "a..b"},
        {"op": "subscribe", "sub": True, "pattern": "a"},
        {"op": "request", "address": "/", "timeout_s": 1, "n": [0, 0]},
        {"op": "join", "member": 1, "address": "a", "info": {"x": 1}},
        {"op": "watch", "watch": 1, "pattern": "a*"},
        {"op": "backup", "name": "../../etc/passwd"},
        {"op": "browse", "queue": QUEUE, "states": ["gone"]},
        {"op": "ledger.create"},
        {"ops": 7},
        {"ops": [7]},
        {"ops": [{"op": "take", "queues": [QUEUE]}]},
        {"ops": [{"op": "put", "queue": QUEUE, "puts": [["a", "x", 1]]}]},
    ],
    ids=lambda head: json.dumps(head)[:50],
)
def test_a_call_that_makes_no_sense_is_refused_in_words(
    shared_hubs: Callable[[Limits], HubProcess], head: dict[str, Any]
) -> None:
    async def scenario() -> None:
        hub = shared_hubs(Limits(heartbeat_s=0.5))
        raw = await Raw.to(hub)
        answer = await raw.ask(head)
        assert answer["error"]["code"] in ("bus.refused", "bus.lease_lost"), answer
        assert answer["error"]["message"]
        assert (await raw.ask({"op": "queues"}))["i"] == 1
        raw.writer.close()

    run(scenario())


def test_an_older_client_with_unknown_fields_is_served(hub: HubProcess) -> None:
    async def scenario() -> None:
        raw = await Raw.to(hub, hello=False)
        raw.send({"hello": 1, "colour": "red", "site": "", "address": "x/1"})
        greeting = (await raw.next()).head
        assert greeting["limits"]["message_bytes_max"] == 1024 * 1024
        answer = await raw.ask(
            {"op": "put", "queue": QUEUE, "puts": [["a", 2, 2]], "later": 1}, b"{}", b"{}"
        )
        assert answer == {"i": 1, "ok": []}

    run(scenario())


def test_a_newer_client_is_told_what_this_hub_speaks(hub: HubProcess) -> None:
    async def scenario() -> None:
        raw = await Raw.to(hub, hello=False)
        raw.send({"hello": 2})
        assert (await raw.next()).head["hello"] == 1

    run(scenario())


def test_a_newer_hub_is_refused_by_this_client(tmp_path: Path) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_json({"hello": 2}))

    async def scenario() -> None:
        place = tmp_path / "hub.sock"
        server = await asyncio.start_unix_server(answer, place)
        engine = HubEngine(f"hub+unix://{place}", Limits(), SystemClock())
        with pytest.raises(BusRefused, match="version 2"):
            await engine.open(lambda _state, _reason: None)
        server.close()

    run(scenario())


def test_a_client_of_another_site_is_refused(make_hub: Callable[..., HubProcess]) -> None:
    async def scenario() -> None:
        hub = make_hub(site="acme").start()
        raw = await Raw.to(hub, hello=False)
        raw.send({"hello": 1, "site": "other"})
        assert "acme" in await raw.refused()

    run(scenario())


def test_nobody_at_the_socket_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        engine = HubEngine(f"hub+unix://{tmp_path}/none.sock", Limits(call_s=0.3), SystemClock())
        with pytest.raises(BusLost) as caught:
            await engine.open(lambda _state, _reason: None)
        assert "none.sock" in caught.value.message
        assert caught.value.next

    run(scenario())


def test_a_listener_that_reads_nothing_costs_a_bounded_part_and_is_told(
    make_hub: Callable[..., HubProcess],
) -> None:
    hub = make_hub(Limits(heartbeat_s=0.5, buffer_messages_max=100)).start()
    data, sent = b"x" * 10_000, 20_000

    async def scenario() -> None:
        raw = await Raw.to(hub)
        assert "ok" in await raw.ask({"op": "subscribe", "sub": 1, "pattern": "flood"})
        before = _resident_bytes(hub.pid)
        async with connected(hub) as engine:
            publishing = 200
            for _ in range(sent // publishing):
                await asyncio.gather(
                    *(engine.publish("flood", message("m", data)) for _ in range(publishing))
                )
        assert _resident_bytes(hub.pid) - before < 60_000_000, "not all of 200 MB"
        received = lost = expected = 0
        while received + lost < sent:
            frame = await raw.next()
            lost += frame.head["s"] - expected
            received += len(frame.head["n"]) // 2
            expected = frame.head["s"] + len(frame.head["n"]) // 2
        assert received + lost == sent
        assert lost > 0
        raw.writer.close()

    run(scenario())


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_slow_listener_of_this_client_is_told_what_it_missed(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with connected(hub, limits=Limits(buffer_messages_max=50)) as slow:
            subscription = await slow.subscribe("flood")
            async with connected(hub) as engine:
                for _ in range(2000):
                    await engine.publish("flood", message("m"))
            total = 0
            async for item in subscription:
                total += item.lost if isinstance(item, Gap) else 1
                if total == 2000:
                    break

    run(scenario())


def test_what_the_hub_dropped_for_a_client_that_read_nothing_is_a_gap(
    make_hub: Callable[..., HubProcess],
) -> None:
    hub = make_hub(Limits(heartbeat_s=20.0, buffer_messages_max=100)).start()

    async def scenario() -> None:
        async with connected(hub) as slow, connected(hub) as engine:
            items = aiter(await slow.subscribe("flood"))
            transport = slow.link._wire._transport  # type: ignore[union-attr]
            transport.pause_reading()  # type: ignore[union-attr]
            for number in range(2000):
                await engine.publish("flood", message(f"{number}", b"x" * 5000))
            transport.resume_reading()  # type: ignore[union-attr]
            total, gaps = 0, 0
            while total < 2000:
                item = await asyncio.wait_for(anext(items), PATIENCE_S)
                total += item.lost if isinstance(item, Gap) else 1
                gaps += isinstance(item, Gap)
                if not isinstance(item, Gap):
                    assert item.id == f"{total - 1}"
            assert gaps

    run(scenario())


def test_a_thousand_connections_are_served(hub: HubProcess) -> None:
    async def scenario() -> None:
        raws = [await Raw.to(hub) for _ in range(1000)]
        for raw in raws:
            raw.send({"i": 1, "op": "subscribe", "sub": 1, "pattern": "news"})
        for raw in raws:
            assert (await raw.next()).head == {"i": 1, "ok": None}
        async with connected(hub) as engine:
            await engine.publish("news", message("m"))
            for raw in raws:
                assert (await raw.next()).head["sub"] == 1
            assert (await engine.link.call({"op": "stats"})).value["connections"] == 1001
        for raw in raws:
            raw.writer.close()

    run(scenario())


def test_a_connection_too_many_is_refused_and_the_others_stay(
    make_hub: Callable[..., HubProcess],
) -> None:
    async def scenario() -> None:
        hub = make_hub(connections_max=2).start()
        raws = [await Raw.to(hub), await Raw.to(hub)]
        third = await Raw.to(hub, hello=False)
        assert "2 connections" in await third.refused()
        for raw in raws:
            assert (await raw.ask({"op": "queues"}))["ok"] == []

    run(scenario())


def test_calls_that_wait_are_bounded_and_all_are_answered(
    make_hub: Callable[..., HubProcess],
) -> None:
    async def scenario() -> None:
        hub = make_hub(calls_max=10).start()
        raw = await Raw.to(hub)
        for number in range(500):
            puts = [[f"{number}", 2, 2]]
            raw.send({"i": number, "op": "put", "queue": QUEUE, "puts": puts}, b"{}", b"{}")
        answered = [(await raw.next()).head["i"] for _ in range(500)]
        assert answered == list(range(500))

    run(scenario())


def test_over_tls_only_the_token_opens_the_door(
    make_hub: Callable[..., HubProcess], tmp_path: Path
) -> None:
    issued = issue(tmp_path, "hub", "localhost", common="localhost")
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("0123456789abcdef0123456789abcdeX\n")
    port = _free_port()
    hub = make_hub(
        listen=f"127.0.0.1:{port}",
        certificate=issued["cert"],
        key=issued["key"],
        token_file=str(token),
    ).start()

    async def scenario() -> None:
        where = f"hub+tls://localhost:{port}?ca={issued['cert']}&token_file="
        engine = HubEngine(f"{where}{token}", Limits(), SystemClock())
        await engine.open(lambda _state, _reason: None)
        await put(engine, "a")
        assert await drain(engine) == ["a"]
        await engine.close()
        for file in (wrong, ""):
            other = HubEngine(
                f"{where}{file}".removesuffix("&token_file="), Limits(), SystemClock()
            )
            with pytest.raises(BusRefused, match="token"):
                await other.open(lambda _state, _reason: None)
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("localhost", port, ssl=context)

    run(scenario())
    assert "0123456789abcde" not in hub.log.read_text()


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
