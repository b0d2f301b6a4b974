"""The explanation of a URL follows the router's rules and names the manifest's lines.

Place:  make test
Rule:   pure; no socket, no edge.
"""

from __future__ import annotations

import pytest

from mergepoint.edge.routes import explain, list_routes
from mergepoint.manifest.site import Site


@pytest.mark.parametrize(
    ("url", "app", "worker_path"),
    [
        ("/", "front", "/"),
        ("/tickets", "tickets", "/tickets"),
        ("/tickets/5?x=1", "tickets", "/tickets/5"),
        ("/ticketsx", "front", "/ticketsx"),
        ("/node/a", "node", "/a"),
        ("http://shop.example.org/x/y", "node", "/x/y"),
        ("http://a.b.example.org:8000/", "node", "/"),
        ("http://example.org/", "front", "/"),
        ("http://EXAMPLE.com./tickets", "tickets", "/tickets"),
        ("/far/x", "far", "/far/x"),
        ("/%74ickets/%e4", "tickets", "/tickets/%E4"),
    ],
)
def test_the_closest_host_and_the_longest_path_decide(
    rich: Site, url: str, app: str, worker_path: str
) -> None:
    found = explain(rich, url, "GET", {})

    assert found.route is not None
    assert (found.route.app, found.worker_path) == (app, worker_path)


def test_a_host_with_routes_of_its_own_does_not_fall_back(rich: Site) -> None:
    found = explain(rich, "http://[::1]/tickets", "GET", {})

    assert found.route is None
    assert found.answer.startswith("404")
    refused = next(rule for rule in found.considered if rule.route.app == "tickets")
    assert "closer host" in refused.reason


def test_every_route_is_considered_once_with_its_line(rich: Site) -> None:
    found = explain(rich, "/tickets/5", "GET", {})

    assert [rule.route for rule in found.considered] == list(list_routes(rich))
    taken = [rule for rule in found.considered if rule.taken]
    assert [str(rule.route.origin) for rule in taken] == ["mergepoint.toml:11"]
    assert all(rule.reason for rule in found.considered)


def test_python_workers_see_script_name_and_path_info(rich: Site) -> None:
    below = explain(rich, "/tickets/a%20b", "GET", {})
    mount = explain(rich, "/tickets", "GET", {})

    assert (below.script_name, below.path_info) == ("/tickets", "/a b")
    assert (mount.script_name, mount.path_info) == ("/tickets", "")
    assert explain(rich, "/", "GET", {}).script_name == ""


def test_the_mount_without_its_slash_is_redirected_under_strip(rich: Site) -> None:
    assert explain(rich, "/node", "GET", {}).answer.startswith("308 to /node/")
    assert "passed on" in explain(rich, "/node", "POST", {}).answer


def test_what_a_client_may_not_say_is_removed_with_the_reason(rich: Site) -> None:
    sent = {
        "Cookie": "a=b",
        "X-Forwarded-For": "1.2.3.4",
        "X_Real": "x",
        "Mergepoint-Probe": "ready",
        "Connection": "close",
        "Remote-User": "root",
    }
    found = explain(rich, "/tickets", "GET", sent)

    assert set(found.removed) == set(sent) - {"Cookie"}
    assert found.headers["Cookie"] == "a=b"
    assert found.headers["X-Forwarded-Prefix"] == "/tickets"
    assert found.headers["X-Forwarded-For"] == "<client>"
    assert "Mergepoint-Probe" not in found.headers


def test_static_files_and_redirects_reach_no_worker(rich: Site) -> None:
    old, files = (explain(rich, url, "GET", {}) for url in ("/old/x?y", "/files/a.css"))

    assert old.answer == "301 to https://example.org/new"
    assert "public" in files.answer
    assert not old.headers
    assert not files.worker_path


def test_limits_and_balance_are_said_in_words(rich: Site) -> None:
    tickets, node = (explain(rich, url, "GET", {}) for url in ("/tickets", "/node/"))

    assert tickets.limits["request body"] == "no limit"
    assert node.limits["time to the response head"].startswith("120 s")
    assert "x-tenant" in tickets.balance
    assert "2 segment" in node.balance


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/a/../b", "dot segment"),
        ("/%2e%2e/b", "dot segment"),
        ("/a/..;x/b", "dot segment"),
        ("/a%2f../b", "dot segment"),
        ("/a\\b", "backslash"),
        ("/a%0Ab", "control"),
        ("/a%zz", "percent"),
        ("ftp://example.org/", "no http"),
    ],
)
def test_what_the_edge_refuses_is_a_value_error_with_the_reason(
    rich: Site, url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        explain(rich, url, "GET", {})
