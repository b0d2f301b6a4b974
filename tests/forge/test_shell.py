"""What all four apps promise alike: the shell, sound HTML, links that work, safe headers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mergepoint_testkit.visitor import Visitor

FORGE = Path(__file__).resolve().parents[2] / "examples" / "forge"
PAGES_MAX = 120
START = {"front": ["/", "/search"], "tickets": ["/"], "wiki": ["/"], "code": ["/", "/orchard"]}
ELSEWHERE = ("/tickets", "/wiki", "/code", "/shell", "/search", "/-/accounts")
APPS = list(START)


def within(visitor: Visitor, address: str, app: str) -> bool:
    """Tell whether a link stays inside the app that is being visited."""
    path = urlsplit(address).path
    if urlsplit(address).netloc or not path.startswith("/"):
        return False
    if visitor.prefix:
        return path == visitor.prefix or path.startswith(visitor.prefix + "/")
    return (path != "/" and not path.startswith(ELSEWHERE)) or (path == "/" and app == "front")


@pytest.mark.parametrize("user", ["", "admin"], ids=["nobody", "admin"])
@pytest.mark.parametrize("app", APPS)
def test_every_page_that_can_be_reached_is_sound_and_every_link_works(  # type: ignore[no-untyped-def]
    serve, app: str, user: str
) -> None:
    visitor = serve(app, user)
    waiting = [visitor.prefix + address for address in START[app]]
    seen: set[str] = set()

    while waiting and len(seen) < PAGES_MAX:
        address = waiting.pop(0).partition("#")[0]
        if address in seen or "/mergepoint" in address:
            continue
        seen.add(address)
        page = visitor.request("GET", address)
        if not user and page.location.startswith("/-/accounts/login"):
            continue
        assert page.status == 200, f"{address} answered {page.status}"
        if not page.headers["Content-Type"].startswith("text/html"):
            continue
        document = page.document()
        admin = "/admin" in address
        assert admin or document.faults == [], f"{address}: {document.faults}"
        assert admin or document.headings.count(1) == 1, f"{address}: {document.headings}"
        waiting += [a for a in document.addresses("a") if within(visitor, a, app)]

    assert len(seen) >= len(START[app])


@pytest.mark.parametrize("prefix", ["/x"], indirect=True)
@pytest.mark.parametrize("app", APPS)
def test_no_link_leaves_the_mount_but_for_the_menu(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)
    allowed = {"/", "/search", "/tickets/", "/wiki/", "/code/", "/-/accounts/login"}

    for address in START[app]:
        links = visitor.get(address).document().addresses("a", "form", "img")
        outside = {urlsplit(a).path for a in links if a.startswith("/")}
        outside = {a for a in outside if not a.startswith((visitor.prefix + "/", "/shell/"))}
        assert outside <= allowed


@pytest.mark.parametrize("app", APPS)
def test_the_same_menu_marks_the_app_that_answers(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    document = serve(app).get("/").document()
    current = [a["href"] for a in document.all("a") if a.get("aria-current") == "page"]
    menu = {"front": "/", "tickets": "/tickets/", "wiki": "/wiki/", "code": "/code/"}

    assert menu[app] in current
    assert set(menu.values()) <= set(document.addresses("a"))
    assert "Skip to the content" in document.words()


@pytest.mark.parametrize("app", APPS)
def test_every_answer_tells_the_browser_to_do_no_more_than_it_should(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)

    for address in ("/", "/nothing/of/the/kind"):
        headers = visitor.get(address).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("app", APPS)
def test_an_unknown_address_is_answered_in_the_shell(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    page = serve(app).get("/nothing/of/the/kind")

    assert page.status == 404
    assert page.document().faults == []
    assert "Orchard Forge" in page.document().words()


@pytest.mark.parametrize("app", ["tickets", "wiki", "code"])
def test_search_and_news_have_the_shape_the_front_reads(serve, app: str) -> None:  # type: ignore[no-untyped-def]
    visitor = serve(app)

    for verb in ("recent", "search?q=weather"):
        items = visitor.get(f"/api/{verb}").json["items"]
        assert 0 < len(items) <= 20
        for item in items:
            assert set(item) == {"title", "url", "snippet", "state", "by", "at"}
            assert item["url"].startswith(visitor.prefix + "/")
            assert visitor.request("GET", item["url"].partition("#")[0]).status == 200


def test_preparing_again_is_quick_and_changes_nothing(prepared: Path) -> None:
    def state() -> dict[str, int]:
        files = [file for file in prepared.rglob("*") if file.is_file()]
        return {str(file): file.stat().st_mtime_ns for file in files if "-" not in file.suffix}

    before, began_s = state(), time.monotonic()
    subprocess.run(
        [sys.executable, str(FORGE / "prepare.py")], env={"FORGE_DATA": str(prepared)}, check=True
    )

    assert time.monotonic() - began_s < 1.0
    assert state() == before


def test_preparing_says_which_environment_is_missing(tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "python"
    done = subprocess.run(
        [sys.executable, str(FORGE / "prepare.py"), "--wiki-python", str(nowhere)],
        env={"FORGE_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert str(nowhere) in done.stderr
    assert "make install" in done.stderr
