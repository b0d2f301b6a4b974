"""The programs on the pages about identity run as they stand, and say what the pages say.

Place:  tests/docs
Rule:   a block is named by its first line and written to that file; nothing is added to it.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.identities import claims, headers, published, signed
from mergepoint_testkit.in_process import ask_asgi, ask_websocket, ask_wsgi
from mergepoint_testkit.services import require_program

import mergepoint.identity
from mergepoint.identity import Identity

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/how-to/know-who-asks.md").read_text()
REFERENCE = (ROOT / "docs/reference/identity.md").read_text()
BLOCK = re.compile(r"^```\w+\n((?://|#) (\S+)\n.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = {match[2]: match[1] for match in BLOCK.finditer(GUIDE + REFERENCE)}
ADA = headers("ada", permissions=["tickets.*", "board.moderate"])
BOB = headers("bob", permissions=["tickets.read"])


def loaded(name: str, directory: Path) -> Any:
    """Import a program of the pages from its file."""
    path = directory / name
    path.write_text(PROGRAMS[name])
    spec = importlib.util.spec_from_file_location(f"page_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_flask_app_greets_and_guards(tmp_path: Path) -> None:
    app = loaded("tickets.py", tmp_path).app

    assert ask_wsgi(app).body == "Hello, whoever you are."
    assert ask_wsgi(app, "/", ADA).body == "Hello Ada Ünique, you may edit."
    assert ask_wsgi(app, "/", BOB).body == "Hello Bob Ünique, you may read."
    assert [ask_wsgi(app, "/audit", who).status for who in (ADA, {})] == [403, 401]
    assert ask_wsgi(app, "/audit", headers("eve", groups=["auditors"])).status == 200


def test_the_fastapi_app_knows_and_guards(tmp_path: Path) -> None:
    app = loaded("board.py", tmp_path).app

    assert json.loads(ask_asgi(app, "/me", ADA).body) == {"user": "ada", "roles": []}
    assert ask_websocket(app, "/live", ADA)[1]["text"] == "ada"
    assert ask_websocket(app, "/live")[0]["code"] == 1008
    operation = json.loads(ask_asgi(app, "/openapi.json").body)["paths"]["/post/{number}"]
    assert [given["name"] for given in operation["delete"]["parameters"]] == ["number"]


def test_the_settings_name_what_exists(tmp_path: Path) -> None:
    settings = loaded("settings.py", tmp_path)
    source = (ROOT / "src/mergepoint/identity/adapters/django.py").read_text()

    for name in [*settings.MIDDLEWARE, *settings.AUTHENTICATION_BACKENDS]:
        if name.startswith("mergepoint"):
            assert f"class {name.rpartition('.')[2]}(" in source


def test_the_grants_filter_the_list(tmp_path: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    page = loaded("grants_example.py", tmp_path)
    engine = create_engine("sqlite://")
    page.Base.metadata.create_all(engine)
    member = Identity(sub="1", user="ada", groups=("support",))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "mergepoint.identity": member}
    with Session(engine) as session:
        session.add_all([page.Ticket(id=1), page.Ticket(id=2)])
        session.flush()
        assert page.share(session, session.get(page.Ticket, 2))
        assert [ticket.id for ticket in page.editable(session, environ)] == [2]


def test_the_policy_on_the_page_decides_as_the_page_says(tmp_path: Path) -> None:
    from mergepoint.identity import cedar

    path = tmp_path / "tickets.cedar"
    match = re.search(r"^```text\n(permit.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    assert match is not None
    path.write_text(match[1])
    ticket = cedar.Resource("Ticket", "7", {"owner": "ada"})

    rules = cedar.load(path)
    assert rules.may(Identity(sub="1", user="ada"), "tickets.edit", ticket)
    assert not rules.may(Identity(sub="2", user="bob"), "tickets.edit", ticket)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/.well-known/mergepoint/jwks.json"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(published()).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def good() -> str:
    """Return a token that is good now: it lives a minute."""
    return signed(claims("ada", roles=["admin"]))


def bad() -> dict[str, str]:
    """Return tokens that differ from a good one in one thing each."""
    return {
        "altered": ".".join([*signed(claims("root")).split(".")[:2], good().split(".")[2]]),
        "another app's": signed(claims(app="wiki")),
        "too old": signed(claims(exp=1)),
        "a session token": signed(claims(), typ="mps+jwt"),
        "of an unknown key": signed(claims(), kid="e9"),
    }


def judged(command: list[str], token: str, site: str, directory: Path) -> tuple[int, str]:
    done = subprocess.run(
        [*command, token, "app", site], capture_output=True, text=True, timeout=60,
        check=False, cwd=directory,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_lines_for_node_verify_and_refuse(site: str, tmp_path: Path) -> None:
    node = require_program("node")
    (tmp_path / "identity.mjs").write_text(PROGRAMS["identity.mjs"])
    (tmp_path / "ask.mjs").write_text(
        'import { identity } from "./identity.mjs";\n'
        "const who = await identity(...process.argv.slice(2));\n"
        "console.log(who.user, who.roles.join());\n"
    )
    command = [node, "ask.mjs"]

    assert judged(command, good(), site, tmp_path) == (0, "ada admin\n")
    for what, token in bad().items():
        code, said = judged(command, token, site, tmp_path)
        assert code != 0 and re.search("not a token of this site|proves nobody", said), what


def test_the_program_in_go_verifies_and_refuses(site: str, tmp_path: Path) -> None:
    go = require_program("go")
    (tmp_path / "main.go").write_text(PROGRAMS["main.go"])
    environ = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GO111MODULE": "off"}
    subprocess.run([go, "build", "-o", "ask", "main.go"], cwd=tmp_path, env=environ, check=True,
                   timeout=240)  # fmt: skip
    command = [str(tmp_path / "ask")]

    assert judged(command, good(), site, tmp_path) == (0, "ada [admin]\n")
    for what, token in bad().items():
        assert judged(command, token, site, tmp_path)[0] == 1, what


def test_the_reference_names_every_field_and_every_name() -> None:
    names = [*Identity.__dataclass_fields__, *mergepoint.identity.__all__]
    names += [n for n, _ in inspect.getmembers(Identity, callable) if not n.startswith("_")]
    missing = [name for name in names if not re.search(rf"\b{name}\b", REFERENCE)]

    assert missing == []


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "src/mergepoint/identity/adapters").glob("[!_]*.py")),
    ids=lambda p: p.stem,
)
def test_the_reference_names_every_adapter_and_what_it_names_exists(path: Path) -> None:
    row = re.search(rf"^\| `\.adapters\.{path.stem}` \| (.*?) \|", REFERENCE, re.MULTILINE)

    assert row is not None
    for name in re.findall(r"`([A-Za-z_]+)", row[1]):
        assert re.search(rf"\b{name}\b", path.read_text()), name


def test_the_reference_names_the_settings_of_django_and_no_others() -> None:
    source = (ROOT / "src/mergepoint/identity/adapters/django.py").read_text()
    named = set(re.findall(r"`(MERGEPOINT_[A-Z_]+)`", REFERENCE))

    assert named == set(re.findall(r"`(MERGEPOINT_[A-Z_]+)`", source))
