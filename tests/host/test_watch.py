"""A stuck request and a blocked loop leave their stack in the log while they last."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from mergepoint_testkit.workers import MOUNT, Workers

from mergepoint.host import limit

SOURCE = """
import asyncio, ctypes, time

def blocking(seconds):
    time.sleep(seconds)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        blocking(1.6)
    if environ["PATH_INFO"] == "/lock":
        ctypes.PyDLL(None).usleep(1_900_000)
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/long":
        return slowly()
    return [b"ok"]

def slowly():
    yield b"first"
    time.sleep(1.4)
    yield b"last"

async def waiting():
    await asyncio.sleep(1.6)

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    path = scope["path"][len(scope["root_path"]):]
    if path == "/stuck":
        await waiting()
    if path == "/thread":
        await asyncio.to_thread(blocking, 1.6)
    if path == "/block":
        blocking(0.8)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("watched")
    (directory / "app.py").write_text(SOURCE)
    return directory


@pytest.mark.parametrize("server", ["granian", "gunicorn", "uwsgi", "uvicorn"])
def test_a_stuck_wsgi_request_shows_the_line_it_hangs_in(
    workers: Workers, where: Path, server: str
) -> None:
    worker = workers.start(
        "app:application", where=where, server=server,
        environ={"MERGEPOINT_REQUEST_TIMEOUT_S": "1"},
    )  # fmt: skip
    asking = threading.Thread(target=worker.get, args=(MOUNT + "/stuck",))
    asking.start()
    told = worker.reported("stuck")
    still = asking.is_alive()
    asking.join()

    assert still, "the report must come before the request ends"
    assert told["request_id"] == "request-1"
    assert (told["method"], told["path"]) == ("GET", MOUNT + "/stuck")
    assert 0.85 <= told["age_s"] < 1.0
    after = worker.output.split("mergepoint-stuck:")[1]
    assert "time.sleep(seconds)" in after
    assert "in application" in after
    assert worker.output.count("mergepoint-stuck:") == 1


def test_a_long_answer_that_has_begun_is_not_stuck(workers: Workers, where: Path) -> None:
    worker = workers.start(
        "app:application", where=where, environ={"MERGEPOINT_REQUEST_TIMEOUT_S": "1"}
    )

    assert worker.get(MOUNT + "/long") == "firstlast"
    assert "mergepoint-stuck" not in worker.output


def test_code_that_holds_the_interpreter_lock_is_shown_by_the_c_timer(
    workers: Workers, where: Path
) -> None:
    worker = workers.start(
        "app:application", where=where, environ={"MERGEPOINT_REQUEST_TIMEOUT_S": "1"}
    )
    worker.get(MOUNT + "/lock")

    output = worker.wait_for("Timeout (")
    assert "app.py" in output and "in application" in output


@pytest.mark.parametrize(
    ("path", "shown"), [("/stuck", "await waiting()"), ("/thread", "time.sleep(seconds)")]
)
def test_a_stuck_asgi_request_shows_where_it_waits(
    workers: Workers, where: Path, path: str, shown: str
) -> None:
    worker = workers.start(
        "app:asgi", where=where, interface="asgi",
        environ={"MERGEPOINT_REQUEST_TIMEOUT_S": "1"},
    )  # fmt: skip
    worker.get(MOUNT + path)

    assert worker.reported("stuck")["path"] == MOUNT + path
    assert shown in worker.output


@pytest.mark.parametrize("server", ["granian", "uvicorn", "hypercorn", "gunicorn"])
def test_a_call_that_blocks_the_loop_is_shown_with_its_request(
    workers: Workers, where: Path, server: str
) -> None:
    worker = workers.start(
        "app:asgi", where=where, interface="asgi", server=server,
        environ={"MERGEPOINT_LOOP_BLOCK_S": "0.2"},
    )  # fmt: skip
    worker.get(MOUNT + "/block")
    told = worker.reported("loop-blocked")

    assert [request["path"] for request in told["requests"]] == [MOUNT + "/block"]
    assert "time.sleep(seconds)" in worker.output
    assert 0.5 < worker.reported("loop-free")["blocked_s"] < 1.5


class Record:
    def __init__(self, started_s: float, answered: bool = False) -> None:
        self.started_s = started_s
        self.answered = answered


def test_only_unanswered_and_unreported_requests_past_their_notice_are_overdue() -> None:
    old, older, new, done = Record(10), Record(5), Record(19), Record(1, answered=True)

    assert limit.overdue([old, older, new, done], set(), 20.0, 8.0) == [older, old]
    assert limit.overdue([old, older, new, done], {id(older)}, 20.0, 8.0) == [old]


def test_the_c_timer_waits_for_the_soonest_report_but_never_longer_than_one_request() -> None:
    assert limit.silence_s([Record(10), Record(15)], set(), 16.0, 8.0) == 2.0
    assert limit.silence_s([Record(0)], set(), 16.0, 8.0) == 0.0
    assert limit.silence_s([], set(), 16.0, 8.0) == 8.0
