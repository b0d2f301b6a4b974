"""Importing a repository with its tickets: told of live, stoppable, and never lost half-way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from mergepoint_testkit.sites import RunningSite

Until = Callable[..., Any]
Import = Callable[..., Path]


@pytest.fixture
def redirecting(forge: RunningSite) -> Iterator[str]:
    """Lend a web server, which may be imported from, that leads to a repository of the forge."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            rest = self.path.partition("/away.git")[2]
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{forge.port}/code/orchard.git{rest}")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def tickets(count: int, source: str) -> str:
    lines = [
        {
            "number": number,
            "title": f"{source} {number}",
            "body": "See [[Home]].",
            "state": "closed" if number % 2 else "open",
            "labels": ["bug", "unheard of"],
            "author": "gardener",
            "at": "2026-05-01T08:00:00+02:00",
            "comments": [{"author": "reviewer", "body": "Yes.", "at": "2026-05-02T08:00:00Z"}],
        }
        for number in range(1, count + 1)
    ]
    return "\n".join(map(json.dumps, lines)) + "\n"


def ask(visitor: Any, source: object, name: str = "") -> Any:
    return visitor.submit(visitor.get("/code/import"), "source", source=str(source), name=name)


def ended(visitor: Any, address: str) -> bool:
    return bool(visitor.get(f"{address}/state").json["ended"])


def found(visitor: Any, title: str) -> list[dict[str, Any]]:
    answer = visitor.get(f"/tickets/api/tickets?q={quote(title)}").json
    return [item for item in answer["items"] if item["title"] == title]


def count(visitor: Any, source: str) -> int:
    return int(visitor.get(f"/tickets/api/tickets?q={source}").json["total"])


def test_a_repository_comes_with_its_history_and_its_tickets(
    browse: Any, until: Until, repository: Import
) -> None:
    keeper = browse("maintainer")
    made = repository("Meadow", {"README.md": "# Meadow\n", "tickets.jsonl": tickets(40, "Meadow")})
    answer = ask(keeper, made)
    assert answer.status == 303, answer.text
    until(lambda: ended(keeper, answer.location), "ended")

    words = keeper.words(answer.location)
    assert "Done. 40 tickets came along." in words, words
    assert "Begin." in keeper.words("/code/meadow")
    assert count(keeper, "Meadow") == 40
    (ticket,) = found(keeper, "Meadow 7")
    assert (ticket["state"], ticket["author"], ticket["labels"]) == ("closed", "gardener", ["bug"])
    assert ticket["created_at"] == "2026-05-01T06:00:00Z"
    thread = keeper.words(ticket["url"])
    assert "Yes." in thread
    assert "took this over from meadow, where it is #7" in thread
    until(lambda: "Meadow 7" in keeper.words("/wiki/page/home"), "the wiki heard of them")


def test_githubs_export_is_read_too(browse: Any, until: Until, repository: Import) -> None:
    keeper = browse("maintainer")
    issues = [
        {"number": 3, "title": "Hail damage", "body": None, "state": "open", "comments": 4,
         "labels": [{"name": "bug"}], "user": {"login": "Some-One"},
         "created_at": "2026-05-01T08:00:00Z"},
        {"number": 4, "title": "A pull request", "pull_request": {}},
    ]  # fmt: skip
    answer = ask(keeper, repository("hail", {"issues.json": json.dumps(issues)}))
    until(lambda: ended(keeper, answer.location), "ended")

    assert "1 ticket came along" in keeper.words(answer.location)
    assert [ticket["author"] for ticket in found(keeper, "Hail damage")] == ["Some-One"]
    assert found(keeper, "A pull request") == []


def test_an_import_whose_worker_is_killed_goes_on_where_it_was(
    browse: Any, until: Until, repository: Import, forge: RunningSite
) -> None:
    keeper = browse("maintainer")
    (slot,) = forge.status()["services"]["code.tasks"]["slots"]
    many = 2000
    made = repository("heath", {"tickets.jsonl": tickets(many, "Heath")})
    address = ask(keeper, made).location

    def in_the_middle() -> bool:
        told = keeper.get(f"{address}/state").json
        assert not told["ended"], "it was over before anybody could kill it"
        return told["words"].startswith("Taking over") and 0 < told["done"] < many

    until(in_the_middle, "in the middle")
    os.kill(slot["pid"], signal.SIGKILL)
    taken = count(keeper, "Heath")
    assert 0 < taken < many

    until(lambda: ended(keeper, address), "ended all the same")
    assert f"Done. {many:,} tickets came along." in keeper.words(address)
    assert count(keeper, "Heath") == many
    assert len(found(keeper, "Heath 777")) == len(found(keeper, f"Heath {many}")) == 1


def test_an_import_can_be_cancelled(browse: Any, until: Until, repository: Import) -> None:
    keeper = browse("maintainer")
    many = 4000
    answer = ask(keeper, repository("dune", {"tickets.jsonl": tickets(many, "Dune")}))
    address = answer.location
    until(lambda: keeper.get(f"{address}/state").json["total"] == many, "begun")
    keeper.submit(keeper.get(address), "/cancel")

    until(lambda: ended(keeper, address), "ended")
    assert "Cancelled." in keeper.words(address)
    assert "The repository is here, and" in keeper.words(address)
    assert 0 < count(keeper, "Dune") < many


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "Say which repository"),
        ("/etc", "/etc is in no directory that may be imported"),
        ("http://127.0.0.1/x.git", "Nothing is imported from http://127.0.0.1"),
        ("http://localhost.example/x.git", "Nothing is imported from http://localhost.example"),
        ("https://me:secret@example.org/x.git", "would be shown to others"),
        ("ext::sh -c id", "neither https:// nor a path"),
        ("-u/x", "neither https:// nor a path"),
    ],
)
def test_what_may_not_be_imported_is_refused_with_the_reason(
    browse: Any, source: str, words: str
) -> None:
    keeper = browse("maintainer")
    answer = ask(keeper, source)

    assert answer.status == 422
    assert words in answer.document().words()


def test_what_is_no_repository_is_said_plainly(browse: Any, until: Until, imports: Path) -> None:
    keeper = browse("maintainer")
    (imports / "nothing").mkdir()
    address = ask(keeper, imports / "nothing").location
    until(lambda: ended(keeper, address), "ended")

    words = keeper.words(address)
    assert "Not imported. Git says:" in words
    assert "Traceback" not in words
    assert keeper.get("/code/nothing").status == 404


def test_wrong_lines_of_a_file_of_tickets_are_all_named(
    browse: Any, until: Until, repository: Import
) -> None:
    keeper = browse("maintainer")
    lines = ['{"number": 1, "title": "Bog"}', "{", '{"number": 2}', '{"number": 1, "title": "Bog"}']
    address = ask(keeper, repository("bog", {"tickets.jsonl": "\n".join(lines)})).location
    until(lambda: ended(keeper, address), "ended")

    words = keeper.words(address)
    assert "line 2 is no JSON" in words
    assert "line 3 has no title; line 4 has number 1, which was there before." in words
    assert keeper.get("/code/bog").status == 200
    assert found(keeper, "Bog") == []


def test_only_who_may_import_sees_imports(browse: Any, repository: Import) -> None:
    keeper, writer = browse("maintainer"), browse("developer")
    address = ask(keeper, repository("fen", {"a": "b"})).location

    assert "/code/import" in keeper.get("/code/").text
    assert "/code/import" not in writer.get("/code/").text
    for at in ("/code/import", address, f"{address}/state"):
        assert writer.get(at).status == 403
    assert writer.post("/code/import", {"source": "https://example.org/x"}).status == 403


def test_another_site_cannot_make_somebody_import(browse: Any) -> None:
    keeper = browse("maintainer")
    told = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "https://elsewhere.example",
        "Sec-Fetch-Site": "cross-site",
    }
    body = b"source=https://example.org/forced.git"
    assert keeper.request("POST", "/code/import", body, told).status == 403
    assert "forced" not in keeper.words("/code/import")


def test_a_host_that_answers_with_another_address_is_not_followed(
    browse: Any, until: Until, redirecting: str
) -> None:
    keeper = browse("maintainer")
    address = ask(keeper, f"{redirecting}/away.git").location
    until(lambda: ended(keeper, address), "ended")

    assert "Not imported. Git says:" in keeper.words(address)
    assert keeper.get("/code/away").status == 404
