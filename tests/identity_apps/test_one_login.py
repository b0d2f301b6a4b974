"""One login, and every program knows who came: none of them was changed."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.people import People, Somebody, log_in, log_out
from mergepoint_testkit.real_apps import PACKAGE
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from .waiting import assert_soon, cookie

pytestmark = pytest.mark.real

CLIENT_S_MAX = 120
HTML = {"Accept": "text/html"}
EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tests//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n"
    "DTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:Tea\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


def basic(user: str, secret: str) -> dict[str, str]:
    proof = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {proof}"}


def run(command: list[str], where: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=where, env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **environ},
        capture_output=True, text=True, timeout=CLIENT_S_MAX, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("address", ["/admin/", "/data/", "/git/", "/calendar/"])
def test_a_browser_without_a_login_is_sent_to_the_one_page(nobody: Visitor, address: str) -> None:
    answer = nobody.request("GET", address, headers=HTML)

    assert answer.status == 303
    assert answer.location.startswith("/-/accounts/login?next=")


def test_one_login_opens_every_program(as_ada: Visitor) -> None:
    for address in ("/admin/", "/data/", "/git/", "/members/protected", "/board/view"):
        assert as_ada.get(address, follow=True).status == 200, address


def test_the_admin_of_django_knows_the_administrator_and_lets_nobody_else_in(
    as_ada: Visitor, as_bob: Visitor
) -> None:
    front = as_ada.get("/admin/")
    assert front.status == 200
    assert "Ada" in front.text
    page = as_ada.get("/admin/config/document/add/")
    added = as_ada.submit(page, "title", title="By the site's login")
    assert added.status == 302
    assert "By the site&#x27;s login" in as_ada.get("/admin/config/document/").text

    denied = as_bob.get("/admin/")
    assert as_bob.request("GET", denied.location).status == 403


@pytest.mark.usefixtures("ada")
def test_an_administrator_who_is_one_no_more_loses_the_admin_at_once(
    site: RunningSite, people: People
) -> None:
    """Ada is one, too: the last one of a site may not stop being one."""
    mia = people.add("mia", "admin")
    visitor = Visitor(site.port)
    log_in(visitor, mia)
    front = visitor.get("/admin/")
    assert front.status == 200, f"{front.status} {front.location} {front.text[:2000]}"

    people.set_roles(mia)
    assert_soon(lambda: visitor.get("/admin/").status != 200)
    assert visitor.get("/members/protected").text == "Logged in as: mia"


def test_the_logout_of_django_leads_to_that_of_the_site(site: RunningSite, ada: Somebody) -> None:
    visitor = Visitor(site.port)
    log_in(visitor, ada)
    assert visitor.get("/admin/login/").location == "/admin/"
    page = visitor.get("/admin/")
    left = visitor.submit(page, "logout")
    assert left.location == "/-/accounts/logout"
    assert visitor.get("/-/accounts/logout").status == 200

    log_out(visitor)
    assert visitor.request("GET", "/admin/", headers=HTML).location.startswith("/-/accounts/login")


def test_datasette_has_its_actor(as_ada: Visitor) -> None:
    assert as_ada.get("/data/-/actor.json").json == {"actor": {"id": "ada", "roles": ["admin"]}}
    assert as_ada.get("/data/forum/posts.json?_shape=array").json[0]["title"] == "First"


def test_flask_login_knows_its_user_and_sends_strangers_to_the_login(
    nobody: Visitor, as_bob: Visitor
) -> None:
    assert nobody.get("/members/").text == "Hello stranger"
    assert (
        nobody.get("/members/protected").location == "/-/accounts/login?next=%2Fmembers%2Fprotected"
    )
    assert as_bob.get("/members/").text == "Hello Bob Builder"
    assert as_bob.get("/members/protected").text == "Logged in as: bob"


def test_the_way_back_from_the_login_leads_where_one_wanted_to_go(
    site: RunningSite, bob: Somebody
) -> None:
    visitor = Visitor(site.port)
    login = visitor.request("GET", visitor.get("/members/protected").location)
    back = visitor.submit(login, "password", user=bob.user, password=bob.password)

    assert back.location == "/members/protected"
    assert visitor.get(back.location).text == "Logged in as: bob"


def test_pyramid_s_acls_know_people_and_roles(
    nobody: Visitor, as_ada: Visitor, as_bob: Visitor
) -> None:
    assert [v.get("/board/view").status for v in (nobody, as_bob, as_ada)] == [403, 200, 200]
    assert [v.get("/board/edit").status for v in (nobody, as_bob, as_ada)] == [403, 403, 200]
    assert as_ada.get("/board/edit").text == "edited by Ada Ünique"


def test_fastapi_and_its_websocket_know_who_came(
    site: RunningSite, nobody: Visitor, as_bob: Visitor
) -> None:
    assert nobody.get("/live/me").json == {"user": "", "kind": "", "session": ""}
    told = as_bob.get("/live/me").json
    assert (told["user"], told["kind"], len(told["session"])) == ("bob", "person", 22)

    address = f"ws://127.0.0.1:{site.port}/live/ws"
    with connect(address, additional_headers={"Cookie": cookie(as_bob)}) as ws:
        assert ws.recv(10) == "hello bob"
        ws.send("tea?")
        assert ws.recv(10) == "bob: tea?"
    for refused in ({}, {"Cookie": cookie(as_bob), "Origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, additional_headers=refused)


def test_a_logout_closes_the_websocket_that_is_open(site: RunningSite, bob: Somebody) -> None:
    visitor = Visitor(site.port)
    log_in(visitor, bob)
    address = f"ws://127.0.0.1:{site.port}/live/ws"
    with connect(address, additional_headers={"Cookie": cookie(visitor)}) as ws:
        assert ws.recv(10) == "hello bob"
        log_out(visitor)
        with pytest.raises(ConnectionClosed):
            ws.recv(20)


def test_git_clones_from_klaus_with_a_token_and_with_nothing_else(
    site: RunningSite, people: People, bob: Somebody, tmp_path: Path
) -> None:
    _, token = people.token(bob)
    plain = f"http://127.0.0.1:{site.port}/git/project"
    proven = plain.replace("//", f"//bob:{token}@")
    wrong = plain.replace(
        "//", f"//bob:{token[:-1]}x@" if token[-1] != "x" else f"//bob:{token[:-1]}y@"
    )

    assert run(["git", "clone", "-q", proven, "copy"], tmp_path).returncode == 0
    assert (tmp_path / "copy/src/hello.py").read_text() == 'print("Say hello")\n'
    for refused in (plain, wrong):
        done = run(["git", "clone", "-q", refused, "none"], tmp_path)
        assert done.returncode != 0, refused
        assert not (tmp_path / "none").exists()


def test_a_calendar_of_radicale_belongs_to_the_owner_of_the_token(
    nobody: Visitor, people: People, ada: Somebody, bob: Somebody
) -> None:
    own, other = basic("ada", people.token(ada)[1]), basic("bob", people.token(bob)[1])
    made = nobody.request("MKCALENDAR", "/calendar/ada/tea/", headers=own)
    put = nobody.request(
        "PUT", "/calendar/ada/tea/1.ics", EVENT.encode(), {**own, "Content-Type": "text/calendar"}
    )

    assert (made.status, put.status) == (201, 201)
    assert "SUMMARY:Tea" in nobody.request("GET", "/calendar/ada/tea/1.ics", headers=own).text
    assert nobody.request("GET", "/calendar/ada/tea/1.ics", headers=other).status in (403, 404)
    assert nobody.request("GET", "/calendar/ada/tea/1.ics").status == 401


def test_twine_uploads_with_a_token_that_may_and_pip_installs_without_one(
    site: RunningSite, people: People, pat: Somebody, bob: Somebody, tmp_path: Path
) -> None:
    twine = str(environment("twine") / "bin" / "python")
    address = f"http://127.0.0.1:{site.port}/packages/"
    wheel = tmp_path / PACKAGE.replace("1.0", "2.0")
    wheel.write_bytes(rebuilt(site.directory / "packages" / "files" / PACKAGE))
    upload = [twine, "-m", "twine", "upload", "--non-interactive", "--repository-url", address,
              "-u", "__token__", str(wheel)]  # fmt: skip

    refused = run(upload, tmp_path, TWINE_PASSWORD=people.token(bob)[1])
    assert refused.returncode != 0
    assert "403" in refused.stdout + refused.stderr
    taken = run(upload, tmp_path, TWINE_PASSWORD=people.token(pat)[1])
    assert taken.returncode == 0, taken.stdout + taken.stderr
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "download",
        "--no-deps",
        "-q",
    ]
    got = run([*pip, f"--index-url={address}simple/", "hello==2.0"], tmp_path / "..")
    assert got.returncode == 0, got.stderr


def rebuilt(wheel: Path) -> bytes:
    """Return the small wheel as its next version."""
    out = io.BytesIO()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(
                name.replace("1.0", "2.0"),
                old.read(name).replace(b"\nVersion: 1.0", b"\nVersion: 2.0"),
            )
    return out.getvalue()


def test_a_token_that_was_revoked_opens_nothing(
    nobody: Visitor, people: People, bob: Somebody
) -> None:
    token_id, token = people.token(bob)
    proof = {"Authorization": f"Bearer {token}"}
    assert nobody.request("GET", "/data/-/actor.json", headers=proof).json["actor"]["id"] == "bob"

    people.revoke(token_id)
    assert_soon(lambda: nobody.request("GET", "/data/-/actor.json", headers=proof).status == 401)


@pytest.mark.parametrize(
    "name", ["Remote-User", "Remote_User", "Mergepoint-Identity", "X-Remote-User"]
)
def test_no_header_of_a_client_makes_anybody_somebody(nobody: Visitor, name: str) -> None:
    assert nobody.request("GET", "/members/", headers={name: "ada"}).text == "Hello stranger"
    assert nobody.request("GET", "/calendar/ada/", headers={name: "ada"}).status == 401
