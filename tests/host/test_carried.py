"""Messages know the request they were made in, and a site without a bus pays nothing for it.

Place:  make test
Rule:   the shims as workers use them, the context as the bus reads it.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from mergepoint import Site
from mergepoint.bus.context import extensions
from mergepoint.host import carried
from mergepoint.host.wsgi import WsgiShim


def settings(interface: str, *, bus: bool = True) -> Any:
    return SimpleNamespace(interface=interface, app="wiki", bus=bus)


def environ(**more: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "wsgi.url_scheme": "http",
        "HTTP_X_REQUEST_ID": "r-1",
        "HTTP_TRACEPARENT": "00-a-b-01",
        "HTTP_ACCEPT_LANGUAGE": "de-CH,de;q=0.9",
        **more,
    }


def seen_by_wsgi(given: dict[str, Any], *, trusted: bool = True) -> dict[str, str]:
    seen: dict[str, str] = {}

    def app(_environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(extensions())
        start("204 No Content", [])
        return []

    shim = WsgiShim(carried.around(app, settings("wsgi")), True, set(), trusted)
    shim(given, lambda *_: None)
    return seen


def test_what_a_request_publishes_carries_its_id_trace_language_and_app() -> None:
    assert seen_by_wsgi(environ()) == {
        "mprequestid": "r-1",
        "traceparent": "00-a-b-01",
        "mplanguage": "de-CH",
        "mpapp": "wiki",
    }
    assert extensions() == {}


def test_who_asks_is_carried_when_the_edge_has_proven_it_and_only_then() -> None:
    proven = {"HTTP_REMOTE_USER": "ada", "HTTP_MERGEPOINT_IDENTITY": "x.y.z"}

    assert seen_by_wsgi(environ(**proven))["mpidentity"] == "ada"
    assert "mpidentity" not in seen_by_wsgi(environ(HTTP_REMOTE_USER="ada"))
    assert "mpidentity" not in seen_by_wsgi(environ(**proven), trusted=False)


def test_an_async_app_carries_it_into_the_tasks_it_starts() -> None:
    seen: list[dict[str, str]] = []

    async def later() -> None:
        seen.append(dict(extensions()))

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.create_task(later())

    async def ask() -> None:
        scope = {
            "type": "http",
            "headers": [(b"remote-user", b"ada"), (b"accept-language", b"fr")],
            "mergepoint": {"request_id": "r-2", "traceparent": "t", "identity": object()},
        }
        wrapped = carried.around(app, settings("asgi"))
        await wrapped(scope, None, None)
        await wrapped({"type": "lifespan"}, None, None)

    asyncio.run(ask())
    assert seen == [
        {
            "mprequestid": "r-2",
            "traceparent": "t",
            "mpidentity": "ada",
            "mplanguage": "fr",
            "mpapp": "wiki",
        },
        {},
    ]


def test_without_a_bus_the_app_is_the_app() -> None:
    assert carried.around(print, settings("wsgi", bus=False)) is print


def test_a_python_without_the_bus_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, carried.CONTEXT, None)

    assert carried.around(print, settings("wsgi")) is print


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", ""), ("*", ""), ("en", "en"), (" de-AT ;q=1,en", "de-AT"), ("x" * 36, ""), ("a b", "")],
)
def test_the_language_is_the_first_tag_or_nothing(accepted: str, language: str) -> None:
    assert carried.language(accepted) == language


def _interleaved(answers: list[Any]) -> None:
    """Take a piece of each in turn, from another thread each time, as servers may."""
    with ThreadPoolExecutor(3) as threads:
        while answers:
            for answer in list(answers):
                if threads.submit(next, answer, None).result() is None:
                    threads.submit(answer.close).result()
                    answers.remove(answer)


def test_every_piece_of_an_answer_knows_its_request_though_others_are_answered_in_between() -> None:
    seen: list[tuple[str, str, str]] = []

    def note(number: int, where: str) -> None:
        seen.append((str(number), where, extensions().get("mprequestid", "")))

    class Answer:
        """An answer that is no generator; `close` belongs to the request, too."""

        def __init__(self, number: int) -> None:
            self._pieces = iter(range(3))
            self._number = number

        def __iter__(self) -> Answer:
            return self

        def __next__(self) -> bytes:
            piece = next(self._pieces)
            note(self._number, f"piece {piece}")
            return b"x"

        def close(self) -> None:
            note(self._number, "close")

    def app(environ: dict[str, Any], start: Any) -> Any:
        start("200 OK", [])
        return Answer(int(environ["number"]))

    wrapped = carried.around(app, settings("wsgi"))
    answers = [
        iter(wrapped({"number": n, "mergepoint.request_id": f"r{n}"}, lambda *_: None))
        for n in range(3)
    ]
    assert extensions() == {}
    _interleaved(answers)

    assert extensions() == {}
    assert {number: request for number, _, request in seen} == {"0": "r0", "1": "r1", "2": "r2"}
    assert all(request == f"r{number}" for number, _, request in seen)
    assert len(seen) == 3 * 4


def test_a_generator_publishes_as_its_request_to_its_last_piece() -> None:
    with Site.testing() as site, site.bus.subscribe("said") as heard:

        def app(_: dict[str, Any], start: Any) -> Any:
            start("200 OK", [])
            for number in range(3):
                site.bus.publish("said", number)
                yield b"x"

        shim = WsgiShim(carried.around(app, settings("wsgi")), True, set(), True)
        answer = shim(environ(), lambda *_: None)
        assert b"".join(answer) == b"xxx"
        answer.close()  # type: ignore[attr-defined]
        events = [heard.receive(10) for _ in range(3)]
    assert {e.message.extensions.get("mprequestid") for e in events} == {"r-1"}  # type: ignore[union-attr]


def test_what_a_server_may_send_by_itself_stays_what_it_is() -> None:
    class FileWrapper:
        def __init__(self, file: Any) -> None:
            self.file = file

    for body in ([b"x"], (b"x",), FileWrapper(None)):

        def app(environ: dict[str, Any], start: Any, body: Any = body) -> Any:
            return body

        wrapped = carried.around(app, settings("wsgi"))
        assert wrapped({"wsgi.file_wrapper": FileWrapper}, None) is body
