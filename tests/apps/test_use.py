"""Each program used as its users use it: redirects, cookies, forms, its own clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from mergepoint_testkit.document import Document
from mergepoint_testkit.real_apps import PACKAGE, PASSWORD
from mergepoint_testkit.sites import RunningSite
from websockets.sync.client import connect

pytestmark = pytest.mark.real

CLIENT_S_MAX = 60


def run(*command: str, where: Path) -> str:
    done = subprocess.run(
        command, cwd=where, capture_output=True, text=True, timeout=CLIENT_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def location(answer: httpx2.Response) -> str:
    """Return the path a redirect leads to."""
    assert answer.is_redirect, f"{answer.status_code} {answer.text[:200]}"
    return str(answer.url.join(answer.headers["Location"]).path)


def test_pypiserver_takes_a_package_and_pip_installs_it(
    site: RunningSite, client: httpx2.Client, tmp_path: Path
) -> None:
    package = (site.directory / f"packages/files/{PACKAGE}").read_bytes()
    form = {":action": "file_upload", "name": "again", "version": "1.0"}

    sent = client.post("/packages/", data=form, files={"content": ("again-1.0.tar.gz", package)})
    moved = location(client.get("/packages/simple/again"))
    python = str(site.directory / "venvs/pypiserver/bin/python")
    index = f"http://127.0.0.1:{site.port}/packages/simple/"
    pip = [sys.executable, "-m", "pip", "--python", python, "download", "--no-deps", "-q"]
    run(*pip, "--no-build-isolation", f"--index-url={index}", "hello==1.0", where=tmp_path)

    assert sent.status_code == 200
    assert moved == "/packages/simple/again/"
    assert client.get("/packages/packages/again-1.0.tar.gz").content == package
    assert (tmp_path / PACKAGE).read_bytes() == package


def test_klaus_shows_a_commit_and_git_clones_through_it(
    site: RunningSite, client: httpx2.Client, tmp_path: Path
) -> None:
    moved = location(client.get("/git/project"))
    run("git", "clone", "-q", f"http://127.0.0.1:{site.port}/git/project", "copy", where=tmp_path)

    assert moved == "/git/project/"
    assert (tmp_path / "copy/src/hello.py").read_text() == 'print("Say hello")\n'


def test_datasette_answers_a_query_and_its_redirects_keep_the_mount(client: httpx2.Client) -> None:
    form = next(f for f in Document(client.get("/data/forum").text).forms if "sql" in str(f.fields))
    answer = client.get(form.attributes["action"], params={"sql": "select count(*) n from posts"})
    moved = location(client.get("/data/forum/"))

    assert form.attributes["action"].startswith("/data/")
    assert "500" in Document(answer.text).words()
    assert moved == "/data/forum"
    assert client.get("/data/forum/posts.json?_size=1").json()["rows"] == [
        [1, "Post 0", "author 0"]
    ]


def test_djangos_admin_logs_in_adds_and_lists(client: httpx2.Client) -> None:
    first = client.get("/admin/", follow_redirects=True)
    form = Document(first.text).forms[0]
    cookie = first.headers["Set-Cookie"]
    secrets = {"username": "ada", "password": PASSWORD}
    logged_in = client.post(str(first.url), data={**form.values(), **secrets})

    assert first.url.path == "/admin/login/"
    assert "csrftoken=" in cookie
    assert location(logged_in) == "/admin/"
    assert "sessionid=" in logged_in.headers["Set-Cookie"]

    page = client.get("/admin/config/document/add/")
    values = next(f for f in Document(page.text).forms if "title" in f.values()).values()
    added = client.post("/admin/config/document/add/", data={**values, "title": "A first one"})

    assert location(added) == "/admin/config/document/"
    assert "A first one" in client.get("/admin/config/document/").text


def test_radicale_keeps_a_calendar(client: httpx2.Client) -> None:
    client.auth = ("ada", PASSWORD)
    event = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:one\r\n"
        "DTSTAMP:20300101T000000Z\r\nDTSTART:20300101T100000Z\r\nSUMMARY:Tea\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    made = client.request("MKCALENDAR", "/calendar/ada/home/")
    put = client.put("/calendar/ada/home/one.ics", content=event)
    listed = client.request("PROPFIND", "/calendar/ada/home/", headers={"Depth": "1"})

    assert location(client.get("/calendar/")) == "/calendar/.web"
    assert (made.status_code, put.status_code, listed.status_code) == (201, 201, 207)
    assert "<href>/calendar/ada/home/one.ics</href>" in listed.text
    assert "SUMMARY:Tea" in client.get("/calendar/ada/home/one.ics").text


def test_mercurial_clones_and_pushes_through_hgweb(site: RunningSite, tmp_path: Path) -> None:
    hg = str(site.directory / "venvs/hgweb/bin/hg")
    address = f"http://127.0.0.1:{site.port}/hg/small"
    run(hg, "clone", "-q", address, "copy", where=tmp_path)
    copy = tmp_path / "copy"
    (copy / "more").write_text("more\n")
    run(hg, "commit", "-q", "-A", "-u", "tester", "-m", "Add more", where=copy)
    run(hg, "push", "-q", where=copy)

    assert "Add more" in run(hg, "log", "-r", "tip", where=site.directory / "mercurial/small")


def test_fastapi_remembers_takes_a_form_and_speaks_websocket(
    site: RunningSite, client: httpx2.Client
) -> None:
    first = client.get("/chat/")
    again = client.get("/chat/")
    with connect(f"ws://127.0.0.1:{site.port}/chat/live") as socket:
        said = client.post("/chat/say", data={"text": "by form"})
        heard = socket.recv(5)
        socket.send("by socket")
        echoed = socket.recv(5)

    assert "path=/chat/" in first.headers["Set-Cookie"].lower()
    assert "Hello friend" in again.text
    assert location(said) == "/chat/"
    assert (heard, echoed) == ("by form", "by socket")
    assert "by socket" in client.get("/chat/").text
    assert client.get("/chat/openapi.json").json()["servers"] == [{"url": "/chat"}]


@pytest.mark.parametrize(("app", "action"), [("notes", "add"), ("node", "sign"), ("go", "wish")])
def test_a_guest_book_remembers_the_visitor_and_takes_an_entry(
    client: httpx2.Client, app: str, action: str
) -> None:
    first = client.get(f"/{app}/")
    second = client.get(f"/{app}/")
    sent = client.post(f"/{app}/{action}", data={"text": "was here"})

    assert "Visit 1" in first.text
    assert "Visit 2" in second.text
    assert sent.status_code == 303
    assert location(sent) == f"/{app}/"
    assert "was here" in client.get(f"/{app}/").text


@pytest.mark.parametrize("app", ["node", "go"])
def test_a_program_that_knows_no_mount_gets_its_redirects_and_cookies_repaired(
    client: httpx2.Client, app: str
) -> None:
    assert location(client.get(f"/{app}/old")) == f"/{app}/"
    assert client.get(f"/{app}/").headers["Set-Cookie"].lower().endswith(f"path=/{app}")
