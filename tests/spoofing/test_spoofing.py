"""A1: no client can speak as another, however it spells the attempt."""

from __future__ import annotations

import json

import pytest
from mergepoint_testkit.raw import exchange

from .conftest import APPS, Site, claimed
from .http2 import ask, tricks
from .ways import CLAIM, Way, ways

WAYS = ways()
WAYS_MIN = 200
PATIENCE = {"quiet_s": 0.5, "total_s": 20, "first_s": 20}


def aimed(way: Way, app: str) -> bytes:
    return way.raw.replace(b" /", f" /{app}/".encode(), 1)


def bodies(raw: bytes) -> list[dict]:
    """Return what the app said it was told, in each answer that came from it."""
    found = []
    for part in raw.split(b"HTTP/1.1 ")[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        if b"x-told: yes" in head.lower():
            start, end = body.find(b'{"'), body.rfind(b"}")
            found.append(json.loads(body[start : end + 1]))
    return found


def test_there_are_at_least_two_hundred_ways() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS) >= WAYS_MIN


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_way_makes_an_app_believe_it(site: Site, app: str, way: Way) -> None:
    answer = exchange(site.running.port, aimed(way, app), **PATIENCE)

    assert answer.raw, "no answer at all"
    for told in bodies(answer.raw):
        assert claimed(told) == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_way_opens_a_guarded_page(site: Site, way: Way) -> None:
    target = way.raw.replace(b" /", b" /plain/secret/", 1)
    answer = exchange(site.running.port, target, **PATIENCE)

    assert bodies(answer.raw) == []
    assert answer.accepted == 0 or b"/-/accounts/login?next=" in answer.raw


def test_most_ways_are_taken_for_what_they_are_and_answered_as_nobodys(site: Site) -> None:
    answered = [
        bool(bodies(exchange(site.running.port, aimed(way, "plain"), **PATIENCE).raw))
        for way in WAYS[:: len(WAYS) // 60]
    ]
    assert sum(answered) > len(answered) / 3, "otherwise nothing here was ever told to an app"


def test_the_genuine_person_is_told_to_every_app_and_only_as_themselves(site: Site) -> None:
    cookie = {"Cookie": f"mergepoint-session={site.alice.session}", "Remote-User": CLAIM}
    for app in APPS:
        told = site.told(app, "/secret", headers=cookie).json()
        assert told["headers"]["remote-user"] == "alice"
        assert CLAIM not in json.dumps(told)
        assert "cookie" not in told["headers"], "the session stays at the edge"


def test_a_client_that_names_the_edges_headers_in_connection_cannot_remove_them(site: Site) -> None:
    headers = {
        "Cookie": f"mergepoint-session={site.alice.session}",
        "Connection": "close, Mergepoint-Identity, Remote-User, X-Grafana-User",
    }
    told = site.told("wsgi", "/secret", headers=headers).json()
    assert told["user"] == told["identity"] == told["headers"]["x-grafana-user"] == "alice"


@pytest.mark.parametrize("name", tricks())
def test_no_way_of_http2_makes_an_app_believe_it(site: Site, name: str) -> None:
    for path in ("/plain/", "/plain/secret"):
        raw = ask(site.running.port, path, tricks()[name])
        if raw:
            assert path == "/plain/"
            assert claimed(json.loads(raw)) == []


def test_a_browser_may_send_its_cookies_in_several_fields_of_http2(site: Site) -> None:
    """RFC 9113 section 8.2.3; the fields together are one."""
    mine = ("cookie", f"mergepoint-session={site.alice.session}")
    for cookies in ([("cookie", "a=b"), mine], [mine, ("cookie", "a=b")], [mine]):
        told = json.loads(ask(site.running.port, "/plain/secret", cookies))
        assert told["headers"]["remote-user"] == "alice"
        assert told["headers"].get("cookie", "") in {"a=b", ""}
