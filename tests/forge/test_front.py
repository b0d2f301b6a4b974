"""The front: asks every app, merges what they say, and goes on without those that are silent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mergepoint_testkit.visitor import Visitor

ANSWER_S_MAX = 3.0
Reply = Callable[[BaseHTTPRequestHandler], None]


def item(title: str, url: str = "/tickets/1", **more: str) -> dict[str, str]:
    return {"title": title, "url": url, **more}


def telling(document: object, status: int = 200) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


class Site:
    """A site made of replies by path, at a port of its own; remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                path = self.path.partition("?")[0]
                site.replies.get(path, telling({"items": []}))(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


@pytest.fixture
def visitor(site: Site, serve_empty) -> Visitor:  # type: ignore[no-untyped-def]
    made: Visitor = serve_empty("front", FORGE_SITE_URL=site.url)
    return made


def test_the_start_page_tells_what_is_new_in_every_app(site: Site, visitor: Visitor) -> None:
    site.replies["/tickets/api/recent"] = telling(
        {"items": [item("#7 Rake", at="2026-11-03T10:00:00Z", by="gardener")], "summary": "7 open"}
    )
    site.replies["/wiki/api/recent"] = telling({"items": [item("Bees", "/wiki/page/bees")]})

    page = visitor.get("/")
    words = page.document().words()

    assert page.status == 200
    assert page.document().faults == []
    assert "#7 Rake" in words
    assert "7 open" in words
    assert "3 November 2026" in words
    assert "/wiki/page/bees" in page.document().addresses("a")


def test_search_asks_every_app_and_marks_the_words(site: Site, visitor: Visitor) -> None:
    site.replies["/tickets/api/search"] = telling({"items": [item("Frost <b>", snippet="a FROST")]})

    page = visitor.get("/search?q=frost+%26+snow")

    assert {path.partition("?")[0] for path in site.asked} == {
        "/tickets/api/search",
        "/wiki/api/search",
        "/code/api/search",
    }
    assert all(path.endswith("?q=frost+%26+snow") for path in site.asked)
    assert "<mark>Frost</mark> &lt;b&gt;" in page.text
    assert "<mark>FROST</mark>" in page.text
    assert page.document().faults == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (telling({"items": []}, status=500), "cannot be reached"),
        (telling({}, status=401), "is closed to this page"),
        (telling(["not", "an", "object"]), "gave an answer nobody could read"),
        (telling({"items": [{"title": "no url"}]}), "gave an answer nobody could read"),
        (telling({"items": [item("away", "https://example.org/")]}), "nobody could read"),
        (telling({"items": [item("away", "//example.org/")]}), "nobody could read"),
        (telling({"items": [], "filler": "x" * 300_000}), "cannot be reached"),
    ],
    ids=["error", "closed", "shape", "item", "elsewhere", "schemeless", "huge"],
)
def test_one_app_that_talks_nonsense_costs_a_sentence(
    site: Site, visitor: Visitor, reply: Reply, says: str
) -> None:
    site.replies["/wiki/api/search"] = reply
    site.replies["/tickets/api/search"] = telling({"items": [item("Still here")]})

    page = visitor.get("/search?q=any")

    assert page.status == 200
    assert says in page.document().words()
    assert "Still here" in page.document().words()


def test_one_app_that_never_answers_costs_a_bounded_wait(site: Site, visitor: Visitor) -> None:
    site.replies["/code/api/search"] = lambda _handler: site.released.wait(30) and None
    site.replies["/tickets/api/search"] = telling({"items": [item("Still here")]})
    began_s = time.monotonic()

    page = visitor.get("/search?q=any")

    assert time.monotonic() - began_s < ANSWER_S_MAX + 2
    assert "Still here" in page.document().words()
    assert "is missing here" in page.document().words()


def test_an_app_that_drips_cannot_hold_the_page(site: Site, visitor: Visitor) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not site.released.wait(0.2):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    site.replies["/wiki/api/search"] = drip
    began_s = time.monotonic()

    page = visitor.get("/search?q=any")

    assert page.status == 200
    assert time.monotonic() - began_s < ANSWER_S_MAX + 2


def test_the_start_page_stands_when_no_app_answers(front: Visitor) -> None:
    page = front.get("/")

    assert page.status == 200
    assert "The rest of the site goes on" in page.text
    assert page.document().faults == []


def test_the_address_to_ask_never_comes_from_the_request(site: Site, visitor: Visitor) -> None:
    visitor.get("/search?q=a", Host="127.0.0.1:1", **{"X-Forwarded-Host": "127.0.0.1:1"})

    assert len(site.asked) == 3


def test_no_words_ask_nobody(site: Site, visitor: Visitor) -> None:
    assert visitor.get("/search?q=++").status == 200
    assert site.asked == []


def test_words_in_the_address_never_become_code(visitor: Visitor) -> None:
    page = visitor.get("/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")

    assert page.document().faults == []
    assert [s for s in page.document().all("script") if "src" not in s] == []


def test_the_design_is_served_and_nothing_else(front: Visitor) -> None:
    for name, kind in (
        ("forge.css", "text/css"),
        ("forge.js", "text/javascript"),
        ("icons.svg", "image/svg+xml"),
    ):
        page = front.get(f"/shell/{name}")
        assert page.status == 200
        assert page.headers["Content-Type"].startswith(kind)
    for name in ("../menu.json", "..%2fmenu.json", "", "nothing.css"):
        assert front.get(f"/shell/{name}").status == 404


def test_only_reading_is_possible(front: Visitor) -> None:
    answer = front.request("POST", front.prefix + "/", b"", {})
    head = front.request("HEAD", front.prefix + "/")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert (head.status, head.body) == (200, b"")
