"""One transaction per request: when it ends, and what the client is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from mergepoint.data import requests
from mergepoint.data.site import Data
from mergepoint.host import settings as host_settings
from mergepoint.host import transactions

ADD = text("INSERT INTO orders (id) VALUES (:id)")


@pytest.fixture(autouse=True)
def orders(data: Data) -> None:
    with data.session() as session:
        session.execute(text("CREATE TABLE orders (id text PRIMARY KEY)"))


def ids(data: Data) -> list[str]:
    with data.session(read_only=True) as session:
        return list(session.scalars(text("SELECT id FROM orders ORDER BY id")))


class Asked:
    """One request to a WSGI app; `events` says in which order things came."""

    def __init__(self, app: Any, method: str = "POST", mode: str = "request") -> None:
        self.events: list[str] = []
        self.status = ""
        around = requests.around(app, "wsgi", mode)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self.status = status
            self.events.append("head")
            return lambda data: self.events.append("written")

        self.answer = around({"REQUEST_METHOD": method}, start)

    def read(self) -> bytes:
        body = b"".join(self.answer)
        close = getattr(self.answer, "close", None)
        if close is not None:
            close()
        return body


def test_a_5xx_rolls_back_and_a_4xx_does_not(data: Data) -> None:
    def app(status: str) -> Callable[..., Any]:
        def view(environ, start):
            data.session().execute(ADD, {"id": status})
            start(status, [])
            return [b"body"]

        return view

    for status in ("200 OK", "404 Not Found", "500 Oops", "503 Busy"):
        asked = Asked(app(status))
        assert (asked.status, asked.read()) == (status, b"body")

    assert ids(data) == ["200 OK", "404 Not Found"]


def test_an_exception_rolls_back_and_passes(data: Data) -> None:
    def app(environ, start):
        data.session().execute(ADD, {"id": "a"})
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Asked(app)

    assert ids(data) == []


def test_the_head_of_an_answer_leaves_after_the_commit(data: Data) -> None:
    seen = []

    def app(environ, start):
        data.session().execute(ADD, {"id": "a"})
        start("200 OK", [])
        yield b"first"
        seen.append(ids(data))
        yield b"second"

    asked = Asked(app)
    assert asked.events == ["head"]
    assert ids(data) == ["a"]
    assert asked.read() == b"firstsecond"
    assert seen == [["a"]]


def test_a_stream_may_read_on_but_writes_nothing_after_its_head(data: Data) -> None:
    def app(environ, start):
        start("200 OK", [])

        def pieces() -> Iterator[bytes]:
            yield str(data.session().scalar(text("SELECT count(*) FROM orders"))).encode()
            with pytest.raises(Exception, match=r"read-?only"):
                data.session().execute(ADD, {"id": "late"})

        return pieces()

    asked = Asked(app)

    assert asked.read() == b"0"
    assert ids(data) == []


def test_write_is_held_back_until_the_commit(data: Data) -> None:
    def app(environ, start):
        data.session().execute(ADD, {"id": "a"})
        write = start("200 OK", [])
        write(b"x")
        assert ids(data) == ["a"]
        return []

    assert Asked(app).events == ["head", "written"]


def test_a_get_may_be_read_only_by_the_mode(data: Data) -> None:
    def app(environ, start):
        data.session().execute(ADD, {"id": environ["REQUEST_METHOD"]})
        start("200 OK", [])
        return [b""]

    with pytest.raises(Exception, match=r"read-?only"):
        Asked(app, "GET", "read-only-get")
    Asked(app, "POST", "read-only-get")
    Asked(app, "GET", "request")

    assert ids(data) == ["GET", "POST"]


def test_a_server_s_own_file_stays_one(data: Data) -> None:
    class Wrapper:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"file"])

    def app(environ, start):
        start("200 OK", [])
        return Wrapper()

    around = requests.around(app, "wsgi", "request")
    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": Wrapper}

    assert isinstance(around(environ, lambda *_: None), Wrapper)


async def asked_asgi(app: Any) -> list[dict[str, Any]]:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST"}
    await requests.around(app, "asgi", "request")(scope, None, send)
    return sent


def test_an_asgi_app_has_the_same_promises(data: Data) -> None:
    def app(status: int, body: str) -> Any:
        async def view(scope, receive, send):
            await data.asession().execute(ADD, {"id": body})
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body.encode()})

        return view

    async def work() -> list[list[dict[str, Any]]]:
        answers = [await asked_asgi(app(s, b)) for s, b in ((200, "a"), (500, "b"), (201, "a"))]
        await data.aclose()
        return answers

    with pytest.raises(Exception, match=r"(?i)unique"):
        asyncio.run(work())
    assert ids(data) == ["a"]


def test_an_asgi_request_that_finds_no_connection_is_told_503(make_data) -> None:
    data = make_data(connections_max=1, connection_wait_s=0.05)

    async def app(scope, receive, send):
        await data.asession().execute(ADD, {"id": "a"})

    async def work() -> list[dict[str, Any]]:
        async with data.asession() as holder:
            await holder.execute(text("SELECT 1"))
            answer = await asked_asgi(app)
        await data.aclose()
        return answer

    head, body = asyncio.run(work())

    assert head["status"] == 503
    assert (b"retry-after", b"1") in head["headers"]
    assert body["body"].startswith(b"data.pool_exhausted: all 1 connections")
    assert ids(data) == []


def test_threads_of_an_asgi_app_are_part_of_its_request(data: Data) -> None:
    async def app(scope, receive, send):
        def blocking() -> None:
            data.session().execute(ADD, {"id": "thread"})

        await asyncio.to_thread(blocking)
        await data.asession().execute(text("SELECT 1"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert ids(data) == []
        await send({"type": "http.response.body", "body": b""})
        assert ids(data) == ["thread"]

    async def work() -> None:
        await asked_asgi(app)
        await data.aclose()

    if data.kind() == "sqlite":
        pytest.skip("one SQLite transaction writes at a time, so use one kind of session there")
    asyncio.run(work())


def test_a_worker_is_wrapped_only_if_its_app_asks() -> None:
    told = {"MERGEPOINT_HOST": '{"target": "x:y"}', "PORT": "1"}

    def app() -> None: ...

    plain = host_settings.read(told)
    assert transactions.around(app, plain) is app
    wanted = host_settings.read({**told, "MERGEPOINT_TRANSACTIONS": "read-only-get"})
    assert isinstance(transactions.around(app, wanted), requests.Wsgi)
    with pytest.raises(host_settings.SettingsRefused, match="not one of request, read-only-get"):
        host_settings.read({**told, "MERGEPOINT_TRANSACTIONS": "yes"})
