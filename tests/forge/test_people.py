"""Who may do what in the apps themselves, whatever stands before them; and what they show of it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from mergepoint_testkit.visitor import Visitor

from .conftest import FORGE, WIKI_PYTHON, environment

APPS = ["front", "tickets", "wiki", "code"]
FORMS = [
    ("tickets", "/new"),
    ("tickets", "/1/edit"),
    ("wiki", "/new"),
    ("wiki", "/page/home/edit"),
]
POSTS = [
    ("tickets", "/new", {"title": "No", "body": ""}),
    ("tickets", "/1/comment", {"body": "No"}),
    ("tickets", "/1/edit", {"title": "No", "version": "1"}),
    ("wiki", "/new", {"title": "No", "body": "", "base": "0", "save": ""}),
    ("wiki", "/page/home/edit", {"title": "No", "body": "", "base": "1", "save": ""}),
    ("wiki", "/page/getting-started/version/1/restore", {}),
    ("wiki", "/page/home/files", {}),
]


def login_of(visitor: Visitor, address: str) -> str:
    return f"/-/accounts/login?next={quote(visitor.prefix + address, safe='')}"


@pytest.mark.parametrize(("app", "address"), FORMS)
def test_a_form_sends_nobody_to_the_login_and_back(serve, app: str, address: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)

    page = visitor.get(address)

    assert page.status in {302, 303}
    assert page.location.replace("%2F", "/") == login_of(visitor, address).replace("%2F", "/")


@pytest.mark.parametrize(("app", "address"), FORMS)
def test_a_form_tells_a_reader_no(serve, app: str, address: str) -> None:  # type: ignore[no-untyped-def]
    page = serve(app, "reader").get(address)

    assert page.status == 403
    assert "Not for everybody" in page.text
    assert page.document().faults == []


@pytest.mark.parametrize(("app", "address"), [(app, address) for app, address, _ in POSTS])
def test_a_login_after_a_form_was_sent_leads_to_a_page(serve, app: str, address: str) -> None:  # type: ignore[no-untyped-def]
    assert serve(app, "tester").get(address, follow=True).status == 200


@pytest.mark.parametrize("user", ["", "reader"])
@pytest.mark.parametrize(("app", "address", "fields"), POSTS)
def test_nothing_is_written_for_those_who_may_not(  # type: ignore[no-untyped-def]
    serve, app: str, address: str, fields: dict[str, str], user: str
) -> None:
    writer, visitor = serve(app, "tester"), serve(app, user)
    before = serve(app).get("/api/recent").json
    # Somebody who could write a moment ago still has the secrets of the form and its cookies.
    form = writer.get("/new").form("title").values()
    visitor.cookies = dict(writer.cookies)
    secret = {name: form[name] for name in ("csrf", "csrfmiddlewaretoken") if name in form}

    page = visitor.post(address, {**fields, **secret})

    assert page.status in {401, 403} or "/-/accounts/login" in page.location
    assert page.status != 403 or "Not for everybody" in page.text
    assert serve(app).get("/api/recent").json == before


@pytest.mark.parametrize(
    ("app", "address", "controls"),
    [
        ("tickets", "/", ["New ticket"]),
        ("tickets", "/1", ["Say something", "Reopen"]),
        ("wiki", "/", ["New page"]),
        ("wiki", "/page/home", ["Add a file"]),
        ("wiki", "/page/getting-started/version/1", ["Restore this version"]),
        ("wiki", "/page/unwritten", ["Write this page"]),
    ],
)
def test_what_one_may_not_do_is_not_offered(  # type: ignore[no-untyped-def]
    serve, app: str, address: str, controls: list[str]
) -> None:
    seen = {user: serve(app, user).get(address).document() for user in ("", "reader", "tester")}

    for control in controls:
        assert control in seen["tester"].words()
        assert control not in seen["reader"].words()
        assert control not in seen[""].words()
    assert all(document.faults == [] for document in seen.values())


@pytest.mark.parametrize("app", APPS)
def test_the_frame_says_who_is_logged_in_and_how_to_leave(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app, "reader")
    page = visitor.get("/")
    document = page.document()

    assert document.faults == []
    assert "Logged in as Quiet <Reader>" in document.words()
    assert "/-/accounts/" in document.addresses("a")
    leaving = [f for f in document.forms if "logout" in f.attributes.get("action", "")]
    assert [form.attributes["method"] for form in leaving] == ["post"]
    assert "private" in page.headers["Cache-Control"]


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("address", ["/", "/nothing/of/it?q=a%20b&x=%C3%A9"])
def test_the_login_leads_back_to_the_page_it_was_on(serve, app: str, address: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)
    document = visitor.get(address).document()
    links = [a for a in document.addresses("a") if a.startswith("/-/accounts/login")]

    back = parse_qs(urlsplit(links[0]).query)["next"][0]
    assert unquote(back) == unquote(visitor.prefix + address)
    assert "Logged in as" not in document.words()


@pytest.mark.parametrize("app", APPS)
def test_the_menu_holds_only_what_is_open_to_one(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    closed = {"/-/accounts/admin/people", "/wiki/admin/"}

    assert closed <= set(serve(app, "admin").get("/").document().addresses("a"))
    assert not closed & set(serve(app, "tester").get("/").document().addresses("a"))
    assert not closed & set(serve(app).get("/").document().addresses("a"))


@pytest.mark.parametrize("app", APPS)
def test_a_name_in_a_header_makes_nobody_somebody(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)
    told = {"Remote-User": "admin", "Mergepoint-Identity": "e30.e30.e30", "REMOTE_USER": "admin"}

    page = visitor.request("GET", visitor.prefix + "/", headers=told)

    assert page.status == 200
    assert "Logged in as" not in page.document().words()


def test_a_database_of_an_older_version_keeps_its_authors(  # type: ignore[no-untyped-def]
    serve_empty, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared / "tickets", tmp_path / "tickets")
    with sqlite3.connect(tmp_path / "tickets" / "tickets.db") as database:
        for table in ("tickets", "comments"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN author_name")
        author = database.execute("SELECT author FROM tickets WHERE id = 1").fetchone()[0]
    database.close()

    visitor = serve_empty("tickets", tmp_path, "tester")

    assert f"opened by {author}" in visitor.get("/1").document().words()
    visitor.submit(visitor.get("/1"), "body", body="New words")
    assert "Test Writer (tester) commented" in visitor.get("/1").document().words()


def test_a_wiki_of_an_older_version_keeps_its_authors_and_its_search(  # type: ignore[no-untyped-def]
    serve_empty, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared / "wiki", tmp_path / "wiki")
    for version in ("0002", "0003"):  # back to the older tables, and forward again
        subprocess.run(
            [str(WIKI_PYTHON), "manage.py", "migrate", "pages", version, "--verbosity=0"],
            cwd=FORGE / "wiki",
            env=environment(tmp_path),
            check=True,
        )
    visitor = serve_empty("wiki", tmp_path, "tester")
    sent = {"title": "Rhubarb", "body": "Grows by itself.", "save": ""}
    visitor.submit(visitor.get("/new"), "title", **sent)

    assert "maintainer" in visitor.get("/page/getting-started/history").document().words()
    assert [i["title"] for i in visitor.get("/api/search?q=rhubarb").json["items"]] == ["Rhubarb"]
    assert "Weather station" in visitor.get("/api/search?q=weath").text


def test_whom_django_has_made_inactive_is_told_no_in_a_page(  # type: ignore[no-untyped-def]
    serve_empty, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared / "wiki", tmp_path / "wiki")
    visitor = serve_empty("wiki", tmp_path, "tester")
    assert visitor.get("/new").status == 200
    with sqlite3.connect(tmp_path / "wiki" / "wiki.db") as database:
        database.execute("UPDATE auth_user SET is_active = 0 WHERE username = 'tester'")
    database.close()

    page = visitor.get("/new")

    assert page.status == 403
    assert "Not for everybody" in page.text
