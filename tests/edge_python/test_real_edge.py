"""The real edge takes our snapshots, answers our client, and routes as our explanation says.

Place:  make test
Rule:   one edge process per test, on free ports, under a snapshot compiled from a manifest.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.edge import EdgeProcess

from mergepoint.core.endpoints import SlotEndpoint, SlotState
from mergepoint.core.errors import EdgeRefused, EdgeUnreachable
from mergepoint.edge.compile import compile_snapshot
from mergepoint.edge.control import EdgeControl, connect_edge
from mergepoint.edge.routes import explain
from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import Site

MANIFEST = """\
[site]
name = "real"
[apps.front]
command = "sh serve {port}"
at = "/"
prefix = "keep"
[apps.tickets]
command = "sh serve {port}"
at = ["/tickets", "*.example.org/t"]
[apps.kept]
command = "sh serve {port}"
prefix = "keep"
at = ["/kept", "exact.example.org"]
[apps.old]
redirect = { to = "https://example.org/new", status = 301, keep_path = false }
"""

WORKERS = ("front", "tickets", "kept")


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with its app's name and everything it read."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = {"app": self.server.app, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "mergepoint.toml"
    file.write_text(MANIFEST)
    return load_site(file, profile="production", environ={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def endpoints() -> Iterator[dict[str, list[SlotEndpoint]]]:
    servers = []
    found = {}
    for app in WORKERS:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.app = app
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        found[app] = [SlotEndpoint(0, f"tcp:127.0.0.1:{server.server_port}")]
    yield found
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def edge(
    edge_binary: Path, site: Site, endpoints: dict[str, list[SlotEndpoint]]
) -> Iterator[EdgeProcess]:
    with (
        tempfile.TemporaryDirectory(prefix="mp") as directory,
        EdgeProcess(Path(directory), binary=edge_binary) as process,
    ):
        yield process.start(compiled(site, endpoints, 1))


def compiled(site: Site, endpoints: dict[str, list[SlotEndpoint]], generation: int) -> Any:
    return compile_snapshot(site, endpoints, {}, generation, {}, b"s" * 32)


def run(edge: EdgeProcess, body: Callable[[EdgeControl], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            control = await connect_edge(edge.control_path, 5)
            try:
                await body(control)
            finally:
                await control.close()

    asyncio.run(main())


def test_every_verb_answers_in_the_shape_we_expect(
    edge: EdgeProcess, site: Site, endpoints: dict[str, list[SlotEndpoint]]
) -> None:
    async def body(control: EdgeControl) -> None:
        assert (await control.ping())["generation"] == 1
        assert await control.apply(compiled(site, endpoints, 2)) == 2
        stats = await control.stats()
        assert stats["generation"] == 2
        assert set(stats["apps"]) >= set(WORKERS)
        assert await control.inflight() == []
        assert "mergepoint" in await control.metrics()
        assert await control.await_drained(endpoints["front"][0].address, 1) == 0

    run(edge, body)


def test_a_snapshot_that_is_old_or_wrong_is_refused_and_the_edge_goes_on(
    edge: EdgeProcess, site: Site, endpoints: dict[str, list[SlotEndpoint]]
) -> None:
    async def body(control: EdgeControl) -> None:
        with pytest.raises(EdgeRefused, match="apply"):
            await control.apply(compiled(site, endpoints, 1))
        with pytest.raises(EdgeRefused, match="colour") as refused:
            await control.apply(compiled(site, endpoints, 5) | {"colour": "red"})
        assert refused.value.code == "edge.snapshot_invalid"
        assert (await control.ping())["generation"] == 1

    run(edge, body)


def test_events_tell_of_a_new_snapshot(
    edge: EdgeProcess, site: Site, endpoints: dict[str, list[SlotEndpoint]]
) -> None:
    async def body(control: EdgeControl) -> None:
        events = control.events()
        waiting = asyncio.create_task(anext(events))
        # Subscribed as soon as a snapshot's event arrives; each try is a new generation.
        for generation in range(2, 60):
            await control.apply(compiled(site, endpoints, generation))
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            if done:
                break
        assert (await waiting)["event"] == "snapshot_applied"
        await events.aclose()

    run(edge, body)


def test_the_listeners_come_back_and_are_the_same_sockets(edge: EdgeProcess) -> None:
    async def body(control: EdgeControl) -> None:
        received = await control.listeners()
        assert list(received) == ["http"]
        with socket.socket(fileno=received["http"]) as copy:
            assert copy.getsockname() == ("127.0.0.1", edge.port())
            assert not os.get_inheritable(copy.fileno())

    run(edge, body)


def test_a_killed_edge_is_unreachable_and_ends_its_events(edge: EdgeProcess) -> None:
    async def body(control: EdgeControl) -> None:
        events = control.events()
        waiting = asyncio.create_task(anext(events, None))
        await control.ping()
        edge.signal(signal.SIGKILL)
        assert edge.wait(5) is not None
        with contextlib.suppress(EdgeUnreachable):  # killed before it confirmed the subscription
            assert await waiting is None
        with pytest.raises(EdgeUnreachable):
            await control.stats()

    run(edge, body)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/x/y?z=1",
        "/tickets/",
        "/tickets/5?x=1",
        "/ticketsx",
        "/kept",
        "/kept/a%20b",
        "/%74ickets/%e4",
        "http://shop.example.org/t/5",
        "http://a.b.example.org/t/",
        "http://exact.example.org/t/5",
        "http://EXAMPLE.org/tickets/1",
    ],
)
def test_the_explanation_is_what_the_worker_sees(
    edge: EdgeProcess, site: Site, target: str
) -> None:
    sent = {"Cookie": "a=b", "X_A": "1", "X-Forwarded-For": "9.9.9.9", "Mergepoint-Probe": "ready"}
    told = explain(site, target, "GET", sent)
    status, seen = ask(edge, target, sent)

    assert status == 200
    assert told.route is not None
    assert seen["app"] == told.route.app
    assert seen["path"].partition("?")[0] == told.worker_path
    headers = {name.lower() for name in seen["headers"]}
    assert {name.lower() for name in told.headers} <= headers
    assert not {"x_a", "mergepoint-probe"} & headers
    assert seen["headers"].get("x-forwarded-prefix") == told.headers.get("X-Forwarded-Prefix")
    assert "9.9.9.9" not in json.dumps(seen["headers"])


@pytest.mark.parametrize(
    "target", ["/tickets", "/old/x", "http://shop.example.org/other", "/a/%2e%2e/b", "/a%5Cb"]
)
def test_answers_of_the_edge_itself_are_explained_with_their_status(
    edge: EdgeProcess, site: Site, target: str
) -> None:
    try:
        told = explain(site, target, "GET", {}).answer
    except ValueError as refused:
        told = str(refused)

    status, _ = ask(edge, target, {})
    assert told.startswith(str(status))


def test_a_drained_slot_takes_nothing_new(
    edge: EdgeProcess, site: Site, endpoints: dict[str, list[SlotEndpoint]]
) -> None:
    address = endpoints["tickets"][0].address
    leaving = {**endpoints, "tickets": [SlotEndpoint(0, address, SlotState.DRAINING)]}

    async def body(control: EdgeControl) -> None:
        await control.apply(compiled(site, leaving, 2))
        assert await control.await_drained(address, 2) == 0

    run(edge, body)


def ask(edge: EdgeProcess, target: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Send one request with the host of an absolute target, and return the status and the echo."""
    host, path = "localhost", target
    if "://" in target:
        host, _, path = target.partition("://")[2].partition("/")
        path = f"/{path}"
    connection = http.client.HTTPConnection("127.0.0.1", edge.port(), timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else None
    finally:
        connection.close()
