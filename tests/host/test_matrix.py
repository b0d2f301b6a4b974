"""Every framework under every server: at a mount, through the headers of the edge."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mergepoint_testkit.workers import MOUNT, Worker, Workers

FRAMEWORKS = Path(__file__).parent / "frameworks"
BODY = b"0123456789abcdef" * 200_000


class Case(NamedTuple):
    server: str
    module: str
    attribute: str
    interface: str

    @property
    def name(self) -> str:
        return f"{self.server}-{self.module.removeprefix('on_')}-{self.interface}"


WSGI = [
    Case(server, module, "app", "wsgi")
    for server in ("granian", "gunicorn", "uwsgi")
    for module in ("on_flask", "on_django", "on_bottle", "on_pyramid", "on_wsgi")
] + [Case(server, "on_wsgi", "app", "wsgi") for server in ("uvicorn", "hypercorn")]
ASGI = [
    Case(server, module, attribute, "asgi")
    for server in ("granian", "uvicorn", "hypercorn", "gunicorn")
    for module, attribute in (
        ("on_starlette", "app"), ("on_fastapi", "app"), ("on_django", "asgi"), ("on_asgi", "app"),
    )
]  # fmt: skip


@pytest.fixture(scope="module", params=WSGI + ASGI, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def worker(workers: Workers, case: Case) -> Iterator[Worker]:
    target = f"{case.module}:{case.attribute}"
    made = workers.start(target, where=FRAMEWORKS, interface=case.interface, server=case.server)
    yield made
    made.process.kill()


def test_an_address_the_app_makes_carries_its_mount(worker: Worker) -> None:
    address = worker.get(MOUNT + "/")

    assert address == MOUNT + "/item/7"
    assert worker.get(address) == "item 7"


def test_a_redirect_stays_inside_the_mount(worker: Worker) -> None:
    answer = worker.open(MOUNT + "/go")

    assert answer.status in (302, 303, 307)
    target = answer.headers["Location"]
    assert target in (MOUNT + "/item/7", "https://site.example" + MOUNT + "/item/7")


def test_a_cookie_is_set_for_the_mount_and_comes_back(worker: Worker) -> None:
    set_cookie = worker.open(MOUNT + "/cookie").headers["Set-Cookie"].lower()

    assert "choc=chip" in set_cookie
    assert f"path={MOUNT}/" in set_cookie
    assert worker.get(MOUNT + "/cookie", Cookie="choc=chip") == "chip"


def test_a_stream_arrives_piece_by_piece(worker: Worker, case: Case) -> None:
    begun = time.monotonic()
    answer = worker.open(MOUNT + "/stream")
    first = answer.readline()
    first_s = time.monotonic() - begun
    rest = answer.read()
    whole_s = time.monotonic() - begun

    assert first + rest == b"chunk 0\nchunk 1\nchunk 2\n"
    if case.name.endswith("django-asgi"):
        return  # Django gathers a synchronous iterator before it sends under ASGI, and warns
    assert whole_s - first_s > 0.2, f"first piece after {first_s:.2f} of {whole_s:.2f} s"


def test_an_upload_arrives_whole_with_and_without_a_length(worker: Worker) -> None:
    wanted = f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}"
    pieces = (BODY[at : at + 50_000] for at in range(0, len(BODY), 50_000))

    sized = worker.open(MOUNT + "/upload", "POST", BODY, Content_Type="application/octet-stream")
    chunked = worker.open(
        MOUNT + "/upload", "POST", pieces,
        Transfer_Encoding="chunked", Content_Type="application/octet-stream",
    )  # fmt: skip

    assert sized.read().decode() == wanted
    assert chunked.read().decode() == wanted


def test_the_app_knows_the_visitor_and_not_the_edge(worker: Worker) -> None:
    told = json.loads(worker.get(MOUNT + "/env"))

    assert told["scheme"] == "https"
    assert told["host"] == "site.example"
    assert told["client"] == "203.0.113.9"
    assert told["request_id"] == "request-1"
    assert told.get("started", "yes") == "yes"


def test_a_view_lets_another_app_answer_at_its_place(worker: Worker) -> None:
    answer = worker.open(MOUNT + "/call/x/y")

    assert answer.status == 200
    assert answer.read().decode() == f"called at {MOUNT}/call for /x/y"
    assert "kept=yes" in answer.headers["Set-Cookie"]
    assert answer.headers["Mergepoint-Call"] is None


def test_a_websocket_knows_its_mount_and_echoes(worker: Worker, case: Case) -> None:
    if case.interface != "asgi" or case.module == "on_django":
        pytest.skip("this framework has no WebSocket of its own")
    from websockets.sync.client import unix_connect

    headers = {"X-Forwarded-Prefix": MOUNT, "X-Forwarded-Proto": "https"}
    address = f"ws://site.example{MOUNT}/ws"
    with unix_connect(str(worker.socket), address, additional_headers=headers) as ws:
        assert ws.recv(5) == MOUNT + "/ws wss"
        ws.send("hello")
        assert ws.recv(5) == "echo hello"


def test_term_lets_a_request_in_flight_finish_and_ends_with_zero(
    worker: Worker, case: Case
) -> None:
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(worker.get(MOUNT + "/slow")))
    asking.start()
    time.sleep(0.3)
    worker.process.send_signal(signal.SIGTERM)
    asking.join(10)

    assert answers == ["slow but done"], worker.output
    assert worker.process.wait(10) == 0, worker.output
    if case.interface == "asgi" and case.module != "on_django":
        assert "lifespan ended" in worker.output
