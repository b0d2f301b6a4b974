"""What every answer carries, and which requests change nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mergepoint.identity.accounts.pages.destination import is_own_path
from mergepoint.identity.accounts.pages.origin import is_own

OWN = "https://acme.example:8443"


@pytest.mark.parametrize(
    ("method", "site", "origin", "allowed"),
    [
        ("POST", "same-origin", None, True),
        ("POST", "none", None, True),
        ("POST", "same-site", OWN, False),
        ("POST", "cross-site", None, False),
        ("POST", "", OWN, False),
        ("POST", None, OWN, True),
        ("POST", None, "https://acme.example", False),
        ("POST", None, "http://acme.example:8443", False),
        ("POST", None, "https://evil.example", False),
        ("POST", None, "null", False),
        ("POST", None, "https://acme.example:99999", False),
        ("POST", None, None, True),
        ("DELETE", "cross-site", None, False),
        ("GET", "cross-site", "https://evil.example", True),
    ],
)
def test_only_ones_own_pages_change_anything(method, site, origin, allowed) -> None:  # type: ignore[no-untyped-def]
    assert is_own(method, site, origin, OWN) is allowed


def test_a_missing_port_is_the_schemes_own() -> None:
    assert is_own("POST", None, "https://acme.example:443", "https://acme.example")
    assert not is_own("POST", None, "https://acme.example:80", "https://acme.example")


@pytest.mark.parametrize(
    "path", ["/", "/tickets/", "/a?next=//b", "/%C3%A4pfel", "/a#//b", "/-/accounts/?x=https://y"]
)
def test_paths_of_this_site_are_followed(path: str) -> None:
    assert is_own_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "tickets", "//b", "///b", "/\\b", "\\b", "/\n/b", " /b", "http:b", "https://b", "/%2fb",
     "/%252fb", "/%5cb", "/a\\b", "/" + "a" * 3000, "/\x00", "//[", "/%0a/b"],
)  # fmt: skip
def test_whatever_a_browser_could_take_for_another_site_is_not(path: str) -> None:
    assert not is_own_path(path)


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["another site", "another origin of the site"],
)
def test_a_form_from_elsewhere_changes_nothing(house, headers) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    answer = browser.post("/profile", {"name": "Mallory", "lang": "en"}, headers=headers)

    assert answer.status_code == 403
    assert "not sent from this site" in answer.text
    assert browser.get("/whoami").json["name"] == ""


def test_a_login_form_from_elsewhere_logs_nobody_in(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    browser = house.browser()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = browser.post(
        "/login", {"user": "rosa", "password": "seven pears on a wall"}, headers=headers
    )

    assert answer.status_code == 403
    assert not browser.is_in()


def test_an_old_browser_is_judged_by_origin(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    typed = {"user": "rosa", "password": "seven pears on a wall"}
    for origin, status in (("http://localhost:8000", 303), ("http://localhost:8001", 403)):
        answer = house.browser().client.post(
            "/login", data=typed, base_url="http://localhost:8000/-/accounts",
            headers={"Origin": origin},
        )  # fmt: skip
        assert answer.status_code == status


PAGES = ["/login", "/logout", "/forgot", "/profile", "/security", "/sessions", "/tokens",
         "/admin/people", "/admin/people/new", "/admin/services", "/admin/audit", "/nowhere",
         "/link/nothing", "/language?lang=de"]  # fmt: skip


@pytest.mark.parametrize("address", PAGES)
def test_no_page_may_be_framed_kept_or_scripted(house, address: str) -> None:  # type: ignore[no-untyped-def]
    answer = house.admin().get(address)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "strict-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<[^>]+\s(on\w+|style)=", answer.text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))


def test_static_files_are_kept_because_their_address_names_their_content(house) -> None:  # type: ignore[no-untyped-def]
    page = house.browser().get("/login").text
    found = re.findall(r'(?:href|src)="(/-/accounts/static/[^"]+)"', page)

    assert len(found) >= 3
    for address in found:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        answer = house.browser().get(address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"].endswith("immutable")


def test_what_a_person_typed_is_text_wherever_it_is_shown(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.admin()
    evil = "<script>alert(1)</script>"
    browser.post("/profile", {"name": evil, "email": "", "lang": "en"})

    for address in ("/profile", "/admin/people", "/admin/audit", f"/admin/people?q={evil}"):
        assert evil not in browser.get(address).text
    assert evil not in house.browser().log_in(evil, "x").text


def test_a_form_that_is_too_large_is_refused_whole(house) -> None:  # type: ignore[no-untyped-def]
    answer = house.inside("rosa").post("/profile", {"name": "x" * 200_000, "lang": "en"})

    assert answer.status_code == 413
    assert "larger than this page accepts" in answer.text


def test_a_message_in_the_address_is_only_ever_one_of_ours(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")

    assert "Saved." in browser.get("/profile?said=saved").text
    assert "hello" not in browser.get("/profile?said=hello").text
    elsewhere = browser.get("/profile?said=password", headers={"Sec-Fetch-Site": "cross-site"})
    assert "changed" not in elsewhere.text


def test_a_lost_database_is_a_page_that_says_to_come_back(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    database = Path(house.settings.database.removeprefix("sqlite:///"))
    database.rename(database.with_suffix(".away"))

    answer = browser.get("/profile")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "not available at the moment" in answer.text
