"""Every server hands the edge's word on: to WSGI, ASGI, WebSockets and the members of one worker.

The environments these workers run in have never heard of Mergepoint.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.environments import VENVS, environment
from mergepoint_testkit.identities import claims, headers, signed
from mergepoint_testkit.in_process import ask_asgi, ask_wsgi, environ_of, settings
from mergepoint_testkit.services import unavailable
from mergepoint_testkit.workers import MOUNT, Worker, Workers

from mergepoint.host.who import ENVIRON_KEY
from mergepoint.host.wsgi import WsgiShim
from mergepoint.identity import contract

PROGRAMS = Path(__file__).parent / "programs"
CASES = [
    *[
        (server, "app", "wsgi")
        for server in ("granian", "gunicorn", "uwsgi", "uvicorn", "hypercorn")
    ],
    *[(server, "asgi", "asgi") for server in ("granian", "uvicorn", "hypercorn", "gunicorn")],
]
ADA = headers("ada", roles=["developer"], permissions=["tickets.*"])
NOBODY = {
    "sub": "", "user": "", "name": "", "kind": "", "roles": [], "anonymous": True,
    "key": False, "remote_user": None, "may": False,
}  # fmt: skip


def expected(interface: str) -> dict[str, Any]:
    return {
        "sub": "sub-of-ada", "user": "ada", "name": "Ada Ünique", "kind": "person",
        "roles": ["developer"], "anonymous": False, "key": True, "may": True,
        "remote_user": "ada" if interface == "wsgi" else None,
    }  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest, workers: Workers) -> Iterator[tuple[Worker, str]]:
    server, attribute, interface = request.param
    made = workers.start(f"told:{attribute}", where=PROGRAMS, interface=interface, server=server)
    yield made, interface
    made.process.kill()


def ask(worker: Worker, path: str, **sent: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(worker.get(MOUNT + path, **sent))
    return told


def told_by_websocket(worker: Worker, sent: dict[str, str]) -> dict[str, Any]:
    from websockets.sync.client import unix_connect

    added = {"X-Forwarded-Prefix": MOUNT, **sent}
    address = f"ws://site.example{MOUNT}/ws"
    with unix_connect(str(worker.socket), address, additional_headers=added) as ws:
        told: dict[str, Any] = json.loads(ws.recv(5))
        return told


def test_the_app_knows_who_asks_and_the_next_request_is_nobody_again(
    case: tuple[Worker, str],
) -> None:
    worker, interface = case

    for _ in range(3):
        assert ask(worker, "/", **ADA) == expected(interface)
        assert ask(worker, "/") == NOBODY


def test_a_name_without_the_edge_s_own_header_is_nobody(case: tuple[Worker, str]) -> None:
    worker, _ = case

    assert ask(worker, "/", Remote_User="root") == NOBODY


def test_a_websocket_knows_who_asks(case: tuple[Worker, str]) -> None:
    worker, interface = case
    if interface != "asgi":
        pytest.skip("WSGI has no WebSockets")
    assert told_by_websocket(worker, ADA) == expected("asgi")
    assert told_by_websocket(worker, {}) == NOBODY


def test_the_largest_identity_of_the_contract_passes_every_server(case: tuple[Worker, str]) -> None:
    worker, interface = case
    told = claims("ada", roles=["developer"], permissions=["tickets.*"], groups=["g" * 11_500])
    many = {**ADA, "Mergepoint-Identity": signed(told)}
    assert 15_500 < len(many["Mergepoint-Identity"]) <= contract.TOKEN_BYTES_MAX

    assert ask(worker, "/", **many) == expected(interface)
    if interface == "asgi":
        assert told_by_websocket(worker, many) == expected("asgi")


def test_members_of_one_worker_know_who_asks(workers: Workers) -> None:
    sync = {"path": "/sync", "target": "told:app", "interface": "wsgi"}
    also = {"path": "/also", "target": "told:app", "interface": "wsgi"}
    asynchronous = {"path": "/async", "target": "told:asgi", "interface": "asgi"}

    for members in ([sync, also], [sync, asynchronous]):
        worker = workers.start(where=PROGRAMS, members=members)
        for member in members:
            assert ask(worker, member["path"], **ADA) == expected(member["interface"])
            assert ask(worker, member["path"]) == NOBODY
        worker.stop()


def test_a_worker_on_a_port_believes_nobody() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(ENVIRON_KEY in environ or "REMOTE_USER" in environ).encode()]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": str("identity" in scope["mergepoint"]).encode()}
        )

    assert not settings(PORT="8001").trusts_headers
    assert ask_wsgi(app, headers=ADA, trusted=False).body == "False"
    assert ask_asgi(asgi, headers=ADA, PORT="8001").body == "False"
    assert ask_wsgi(app, headers=ADA).body == "True"
    assert ask_asgi(asgi, headers=ADA).body == "True"


def test_a_name_that_a_server_made_up_is_dropped() -> None:
    seen: list[object] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ.get("REMOTE_USER"))
        start_response("200 OK", [])
        return []

    for sent in ({}, {"HTTP_MERGEPOINT_IDENTITY": ADA["Mergepoint-Identity"]}):
        environ = {**environ_of("/", {}), "REMOTE_USER": "root", **sent}
        WsgiShim(app, True, set())(environ, lambda *_: len)

    assert seen == [None, None]


IMPORTS = """
import importlib.util, json, sys
import mergepoint, mergepoint.identity, mergepoint.identity.adapters
from mergepoint.identity.permissions import covering

def missing(name):
    try:
        __import__(name)
    except ModuleNotFoundError:
        return True
    return False

WITHHELD = [name for name in ("mergepoint.cli", "mergepoint.core", "mergepoint.identity.accounts",
                              "mergepoint.identity.keys") if missing(name)]
HIDDEN = not any("mergepoint" in entry for entry in sys.path)
assert importlib.util.find_spec("mergepoint.identity.adapters.django") is not None

def app(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps([WITHHELD, HIDDEN, mergepoint.identity.of(environ).user]).encode()]
"""


def test_an_app_imports_it_where_mergepoint_is_not_installed(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(IMPORTS)
    python = VENVS / "forge-wiki" / "bin" / "python"
    if not python.exists():
        unavailable("the wiki's environment; make install")
    installed = subprocess.run(
        [python, "-I", "-c", "import mergepoint"], check=False, capture_output=True
    )
    assert installed.returncode != 0, "this environment must not have Mergepoint"

    worker = workers.start("app:app", where=tmp_path, python=python)
    withheld, hidden, user = ask(worker, "/", **ADA)

    assert withheld == ["mergepoint.cli", "mergepoint.identity.accounts",
                        "mergepoint.identity.keys"]  # fmt: skip
    assert hidden, "the site's own libraries must stay off the app's path"
    assert user == "ada"


def test_an_installed_mergepoint_comes_first_and_a_folder_of_that_name_does_no_harm(
    workers: Workers, tmp_path: Path
) -> None:
    source = "import mergepoint.identity\nfrom told import app\nprint(mergepoint.__path__)\n"
    own, folder = tmp_path / "own", tmp_path / "folder"
    (own / "mergepoint" / "identity").mkdir(parents=True)
    (own / "mergepoint" / "__init__.py").write_text("")
    shim = f"exec(open({str(PROGRAMS / 'told.py')!r}).read())\n"
    for place in (own, folder):
        (place / "mergepoint").mkdir(parents=True, exist_ok=True)
        (place / "told.py").write_text(shim)
        (place / "app.py").write_text(source)
    identity = own / "mergepoint" / "identity"
    (identity / "__init__.py").write_text("of = None\nprint('the installed one', flush=True)\n")
    (own / "told.py").write_text("def app(environ, start_response):\n    raise SystemExit\n")

    assert "the installed one" in workers.start("app:app", where=own).wait_for("the installed one")
    assert ask(workers.start("app:app", where=folder), "/", **ADA) == expected("wsgi")


def test_a_site_without_identity_never_loads_it(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import sys\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [str('mergepoint.identity' in sys.modules).encode()]\n"
    )
    worker = workers.start(
        "app:app", where=tmp_path, python=environment("matrix") / "bin" / "python"
    )

    assert worker.get(MOUNT + "/") == "False"
    assert worker.get(MOUNT + "/", **ADA) == "True"
