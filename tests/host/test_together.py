"""Small apps in one worker: each at its path, with its own lifespan and its own failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mergepoint_testkit.workers import MOUNT, Worker, Workers

SOURCES = {
    "first.py": """
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"first {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]
""",
    "second.py": """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["mine"] = "second's"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("second ended", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"second {scope['root_path']} {scope['path']} {scope['state']['mine']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
""",
    "unready.py": """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
""",
    "broken.py": "import nothing_like_it\n",
}
FIRST = {"path": "/first", "target": "first:app", "interface": "wsgi"}
SECOND = {"path": "/second", "target": "second:app", "interface": "asgi"}
BROKEN = {"path": "/broken", "target": "broken:app", "interface": "wsgi"}
DEEPER = {"path": "/first/deeper", "target": "first:app", "interface": "wsgi"}
UNREADY = {"path": "/unready", "target": "unready:app", "interface": "asgi"}


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("members")
    for name, source in SOURCES.items():
        (directory / name).write_text(source)
    return directory


@pytest.fixture(scope="module", params=["granian", "uvicorn", "gunicorn"])
def mixed(request: pytest.FixtureRequest, workers: Workers, where: Path) -> Worker:
    members = [FIRST, SECOND, BROKEN, DEEPER, UNREADY]
    return workers.start(where=where, members=members, server=request.param)


def test_each_member_sees_the_mount_and_its_own_path_below(mixed: Worker) -> None:
    assert mixed.get(MOUNT + "/first/x") == f"first {MOUNT}/first /x"
    assert mixed.get(MOUNT + "/second/x") == f"second {MOUNT}/second {MOUNT}/second/x second's"


def test_the_longest_path_wins_on_whole_segments(mixed: Worker) -> None:
    assert mixed.get(MOUNT + "/first/deeper/x") == f"first {MOUNT}/first/deeper /x"
    assert mixed.get(MOUNT + "/first/deeperx") == f"first {MOUNT}/first /deeperx"
    assert mixed.open(MOUNT + "/nowhere").status == 404


@pytest.mark.parametrize(
    ("path", "reason"), [("/broken", "nothing_like_it"), ("/unready", "no database")]
)
def test_a_member_that_cannot_serve_has_its_own_page_and_the_others_go_on(
    mixed: Worker, path: str, reason: str
) -> None:
    page = mixed.open(MOUNT + path + "/x", Accept="text/html")
    told = json.loads(mixed.open(MOUNT + path + "/x", Accept="application/json").read())

    assert page.status == 503
    assert page.headers["Content-Type"].startswith("text/html")
    assert reason in page.read().decode()
    assert reason in told["reason"]
    assert mixed.get(MOUNT + "/first/") == f"first {MOUNT}/first /"
    assert reason in mixed.output


def test_members_end_their_lifespan_with_the_worker(workers: Workers, where: Path) -> None:
    worker = workers.start(where=where, members=[FIRST, SECOND])

    assert worker.stop() == 0
    assert "second ended" in worker.output


def test_in_production_the_page_keeps_the_code_to_itself(workers: Workers, where: Path) -> None:
    worker = workers.start(
        where=where, members=[FIRST, BROKEN], environ={"MERGEPOINT_MODE": "production"}
    )

    page = worker.open(MOUNT + "/broken/").read().decode()
    assert "cannot be served" in page
    assert "nothing_like_it" not in page


def test_wsgi_members_alone_need_no_asgi_server(workers: Workers, where: Path) -> None:
    worker = workers.start(where=where, members=[FIRST, DEEPER], server="gunicorn")

    assert worker.get(MOUNT + "/first/deeper/x") == f"first {MOUNT}/first/deeper /x"


def test_a_worker_without_one_member_that_loads_fails(workers: Workers, where: Path) -> None:
    worker = workers.start(where=where, members=[BROKEN], wait=False)

    assert worker.process.wait(20) == 78
    assert "nothing_like_it" in worker.reported("failure")["reason"]
