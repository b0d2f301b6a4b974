"""What the edge says when no app answers, to browsers, programs and terminals.

Place:  clients -> edge -> nobody
Rule:   development names the app, the cause and the next command; production only the request.
"""

from __future__ import annotations

import json
import re

import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.snapshots import pool

from .conftest import ask

EVIL = "<script>alert('x')</script>"
FAILURE = {
    "reason": f"ModuleNotFoundError: No module named {EVIL}",
    "where": "chat/app.py:12",
    "next": "mergepoint logs chat",
}


def failed(start, mode: str) -> EdgeProcess:
    apps = {"chat": pool(failure=FAILURE)}
    return start(apps, routes={"/chat": "chat"}, mode=mode)


def test_a_browser_learns_the_app_the_cause_and_the_next_command(start) -> None:
    answer = ask(failed(start, "development"), "/chat", {"Accept": "text/html"})
    page = answer.body.decode()

    assert (answer.status, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    for told in ("chat", "ModuleNotFoundError", "chat/app.py:12", "mergepoint logs chat"):
        assert told in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert answer.headers["x-request-id"] in page
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_program_gets_problem_details(start) -> None:
    answer = ask(failed(start, "development"), "/chat/x", {"Accept": "application/json"})
    details = json.loads(answer.body)

    assert answer.headers["content-type"] == "application/problem+json"
    assert (details["status"], details["app"]) == (503, "chat")
    assert details["failure"] == FAILURE
    assert details["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"edge\.[a-z_]+", details["code"])


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_production_tells_only_the_request(start, accept: str) -> None:
    answer = ask(failed(start, "production"), "/chat", {"Accept": accept})
    text = answer.body.decode()

    assert answer.status == 503
    assert answer.headers["x-request-id"] in text
    for hidden in ("chat", "ModuleNotFoundError", "app.py", "mergepoint"):
        assert hidden not in text


def test_an_address_without_an_app_is_said_to_be_one(start) -> None:
    edge = failed(start, "development")

    page = ask(edge, "/nowhere", {"Accept": "text/html"})
    line = ask(edge, "/nowhere", {"Accept": "*/*"})

    assert (page.status, line.status) == (404, 404)
    assert "<h1>" in page.body.decode()
    assert line.headers["content-type"] == "text/plain; charset=utf-8"
    assert line.body.startswith(b"404 ")


def test_a_head_request_gets_the_head_alone(start) -> None:
    answer = ask(failed(start, "development"), "/chat", method="HEAD")

    assert (answer.status, answer.body) == (503, b"")
