"""Kept connections, clients that leave, and bodies nobody reads."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mergepoint_testkit.workers import EDGE_HEADERS, MOUNT, UnixConnection, Workers

SERVERS = ["granian", "gunicorn", "uvicorn", "hypercorn"]
SOURCE = """
import time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/endless":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return endless()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

def endless():
    try:
        while True:
            yield b"x" * 65536
            time.sleep(0.01)
    finally:
        print("closed", flush=True)
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("connections")
    (directory / "app.py").write_text(SOURCE)
    return directory


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("module", ["on_wsgi", "on_asgi"])
def test_a_kept_connection_serves_again_and_does_not_hold_up_the_end(
    workers: Workers, server: str, module: str
) -> None:
    worker = workers.start(
        f"{module}:app",
        where=Path(__file__).parent / "frameworks",
        server=server,
        interface=module.removeprefix("on_"),
    )
    connection = UnixConnection(worker.socket)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("GET", MOUNT + "/item/7", headers=EDGE_HEADERS)
        assert connection.getresponse().read() == b"item 7"
    assert connection.sock is first
    begun = time.monotonic()

    assert worker.stop() == 0, worker.output
    assert time.monotonic() - begun < 8, "an idle connection kept the worker alive"


@pytest.mark.parametrize("server", [*SERVERS, "uwsgi"])
def test_an_answer_is_closed_when_its_client_leaves(
    workers: Workers, where: Path, server: str
) -> None:
    worker = workers.start("app:app", where=where, server=server)
    connection = UnixConnection(worker.socket)
    connection.request("GET", MOUNT + "/endless", headers=EDGE_HEADERS)
    answer = connection.getresponse()
    assert answer.read(1000) == b"x" * 1000
    answer.close()
    connection.close()

    worker.wait_for("closed")
    assert worker.get(MOUNT + "/") == "ok"


@pytest.mark.parametrize("server", SERVERS)
def test_an_asgi_answer_that_names_its_own_framing_arrives(
    workers: Workers, tmp_path: Path, server: str
) -> None:
    (tmp_path / "app.py").write_text(
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        raise NotImplementedError\n"
        "    headers = [(b'Transfer-Encoding', b'chunked'), (b'content-length', b'2')]\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})\n"
        "    await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    worker = workers.start("app:app", where=tmp_path, interface="asgi", server=server)

    assert worker.get(MOUNT + "/") == "ok"


@pytest.mark.parametrize("server", SERVERS)
def test_a_body_the_app_never_reads_does_not_spoil_the_next_request(
    workers: Workers, where: Path, server: str
) -> None:
    worker = workers.start("app:app", where=where, server=server)

    assert worker.open(MOUNT + "/", "POST", b"x" * 200_000).read() == b"ok"
    assert worker.get(MOUNT + "/") == "ok"
