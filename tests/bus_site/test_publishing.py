"""Messages that programs in any language hand over by HTTP.

Place:  make test
Rule:   a real engine (in memory), real sockets; the gateway is the one a site runs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.gateway_bench import TOKENS, Bench, subscribed

from mergepoint.bus.gateway.settings import Door
from mergepoint.wire.envelope import from_headers


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, tmp_path.name)


def test_any_program_publishes_with_its_token(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            status, answer = await bench.ask(
                "/publish/tickets.closed", b'{"id": 7}', content_type="application/json"
            )
            got = (await wiki.until(1))[0]
        assert (status, set(answer)) == (200, {"id"})
        message = from_headers(got.headers, got.body)
        assert (message.id, message.source, message.type) == (
            answer["id"], "/tickets", "tickets.closed",
        )  # fmt: skip
        assert message.extensions["mpapp"] == "tickets"

    asyncio.run(work())


def test_nobody_publishes_in_the_name_of_another_app_or_user(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            await bench.ask(
                "/publish/tickets.closed", b"x", ce_source="/admin", ce_type="other.topic",
                ce_id="mine", ce_mpidentity="forged", ce_mpapp="admin",
            )  # fmt: skip
            got = (await wiki.until(1))[0]
        message = from_headers(got.headers, got.body)
        assert (message.id, message.source, message.type) == ("mine", "/tickets", "tickets.closed")
        assert message.extensions["mpapp"] == "tickets"
        assert "mpidentity" not in message.extensions

    asyncio.run(work())


def test_a_job_is_put_with_its_options_and_once_for_one_id(bench: Bench) -> None:
    async def work() -> None:
        await bench.engine.open(lambda *_: None)
        async with bench.gateway():
            target = "/queues/mail?delay_s=60&priority=9&key=alice&attempts_max=7"
            first = await bench.ask(target, b"{}", ce_id="job-1")
            again = await bench.ask(target, b"{}", ce_id="job-1")
            assert (first, again[1]["duplicate"]) == (
                (200, {"id": "job-1", "duplicate": False}),
                True,
            )
            stats = {s.name: s for s in await bench.engine.queues()}["mail"]
            assert (stats.ready, stats.delayed) == (0, 1)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("target", "more", "status", "code"),
    [
        ("/publish/a", {"token": "tickets.0000"}, 401, "bus.token"),
        ("/publish/a", {"token": ""}, 401, "bus.token"),
        ("/publish/a", {"token": TOKENS.of("wiki").replace("wiki", "tickets")}, 401, "bus.token"),
        ("/publish/", {}, 404, "bus.no_route"),
        ("/elsewhere/a", {}, 404, "bus.no_route"),
        ("/publish/a", {"method": "GET"}, 405, "bus.method"),
        ("/publish/a..b", {}, 400, "bus.name"),
        ("/publish/mp.own", {}, 400, "bus.name"),
        ("/queues/mail?priority=99", {}, 400, "bus.option"),
        ("/queues/mail?delay=5", {}, 400, "bus.option"),
        ("/publish/a", {"body": b"x" * 1001}, 413, "bus.message_too_large"),
        (
            "/publish/a",
            {"content_type": "application/cloudevents+json", "body": b"{"},
            400,
            "bus.envelope",
        ),
    ],
)
def test_what_cannot_be_published_is_refused_with_its_reason(
    bench: Bench, target: str, more: dict[str, Any], status: int, code: str
) -> None:
    async def work() -> None:
        await bench.engine.open(lambda *_: None)
        async with bench.gateway():
            body = more.pop("body", b"{}")
            found, answer = await bench.ask(target, body, **more)
            assert (found, answer["error"]["code"]) == (status, code)
            assert answer["error"]["message"]
            assert answer["error"]["next"]

    asyncio.run(work())


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_request_in_pieces_is_the_same_request(bench: Bench, cut: int) -> None:
    async def work() -> None:
        await bench.engine.open(lambda *_: None)
        async with bench.gateway():
            text = (
                "POST /publish/a HTTP/1.1\r\nHost: bus\r\n"
                f"Authorization: Bearer {TOKENS.of('a')}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            ).encode()
            reader, writer = await asyncio.open_unix_connection(str(bench.door))
            for at in range(0, len(text), cut):
                writer.write(text[at : at + cut])
                await writer.drain()
            line = await reader.readline()
            writer.close()
            assert line.split()[1] == b"200"

    asyncio.run(work())


def test_garbage_costs_one_connection_and_a_plain_answer(bench: Bench) -> None:
    async def work() -> None:
        await bench.engine.open(lambda *_: None)
        async with bench.gateway():
            reader, writer = await asyncio.open_unix_connection(str(bench.door))
            writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
            answer = await reader.read()
            writer.close()
            assert answer.startswith(b"HTTP/1.1 400")
            assert (await bench.ask("/publish/a", b"{}"))[0] == 200

    asyncio.run(work())


def test_the_socket_is_for_its_own_user_alone(bench: Bench) -> None:
    async def work() -> None:
        async with bench.gateway():
            assert bench.door.stat().st_mode & 0o777 == 0o600

    asyncio.run(work())


def test_plain_curl_publishes(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            done = await asyncio.to_thread(
                subprocess.run,
                [
                    "curl", "-sS", "--unix-socket", bench.door, "-H",
                    f"Authorization: Bearer {TOKENS.of('shop')}", "--json", '{"id": 1}',
                    "http://bus/publish/tickets.created",
                ],
                capture_output=True, text=True, timeout=30, check=True,
            )  # fmt: skip
            got = (await wiki.until(1))[0]
        assert json.loads(done.stdout)["id"] == got.headers["ce-id"]

    asyncio.run(work())


def test_an_app_of_another_user_reaches_the_hub_through_a_socket_of_its_own(
    bench: Bench,
) -> None:
    async def work() -> None:
        gone = asyncio.Event()

        async def hub(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(65536):
                writer.write(piece[::-1])
                await writer.drain()
            gone.set()
            writer.close()

        place, door = bench.directory / "hub.sock", bench.directory / "theirs.sock"
        server = await asyncio.start_unix_server(hub, str(place))
        async with bench.gateway(hub=place, hub_doors=(Door(path=door),)):
            assert door.stat().st_mode & 0o777 == 0o600
            reader, writer = await asyncio.open_unix_connection(str(door))
            writer.write(b"abc")
            assert await reader.readexactly(3) == b"cba"
            writer.close()
            async with asyncio.timeout(30):
                await gone.wait()  # a worker that dies is noticed as if it had spoken itself
            reader, writer = await asyncio.open_unix_connection(str(door))
            writer.write(b"d")
            assert await reader.readexactly(1) == b"d"
        assert await reader.read() == b""
        writer.close()
        server.close()

    asyncio.run(work())
