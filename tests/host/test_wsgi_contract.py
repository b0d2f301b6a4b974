"""PEP 3333 through the shim, judged by the standard library's own validator."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from mergepoint.host.wsgi import WsgiShim

App = Callable[..., Iterable[bytes]]


def environ_of(path: str, prefix: str = "/tickets", **more: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
    if prefix:
        environ["HTTP_X_FORWARDED_PREFIX"] = prefix
    environ.update(more)
    setup_testing_defaults(environ)
    return environ


def ask(app: App, environ: dict[str, Any], splits_prefix: bool = True) -> tuple[str, bytes]:
    """Serve one request as a plain server would; return the raw answer's head and body."""
    in_flight: set[Any] = set()
    out = io.BytesIO()
    handler = SimpleHandler(environ.pop("wsgi.input"), out, sys.stderr, environ)
    handler.run(WsgiShim(app, splits_prefix, in_flight))
    head, _, body = out.getvalue().partition(b"\r\n\r\n")
    assert in_flight == set()
    return head.decode("latin-1"), body


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]


def generated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one "
    yield b"two"


def written(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one ")
    return [b"two"]


@pytest.mark.parametrize(
    ("app", "body"),
    [(hello, b"/tickets|/a"), (generated, b"one two"), (written, b"one two")],
    ids=["list", "generator", "write"],
)
def test_the_shim_keeps_the_contract_on_both_sides(app: App, body: bytes) -> None:
    in_flight: set[Any] = set()
    outer = validator(WsgiShim(validator(app), True, in_flight))
    status: list[str] = []
    sent: list[bytes] = []

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Any:
        status.append(line)
        return sent.append

    answer = outer(environ_of("/tickets/a"), start_response)
    sent.extend(answer)
    answer.close()

    assert status == ["200 OK"]
    assert b"".join(sent) == body
    assert in_flight == set()


@pytest.mark.parametrize(
    ("path", "prefix", "placed"),
    [
        ("/tickets/a", "/tickets", "/tickets|/a"),
        ("/tickets/", "/tickets/", "/tickets|/"),
        ("/tickets", "/tickets", "/tickets|"),
        ("/ticketsx", "/tickets", "|/ticketsx"),
        ("/a", "", "|/a"),
        ("/caf\xc3\xa9/x", "/caf%C3%A9", "/caf\xc3\xa9|/x"),
        ("/a/a/b", "/a", "/a|/a/b"),
    ],
)
def test_the_mount_is_split_on_whole_segments(path: str, prefix: str, placed: str) -> None:
    _, body = ask(hello, environ_of(path, prefix))

    assert body.decode() == placed


def test_under_strip_and_keep_the_path_is_left_alone() -> None:
    _, body = ask(hello, environ_of("/tickets/a"), splits_prefix=False)

    assert body == b"|/tickets/a"


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("site.example", "site.example", "443"),
        ("site.example:8443", "site.example", "8443"),
        ("[::1]", "[::1]", "443"),
        ("[::1]:8443", "[::1]", "8443"),
    ],
)
def test_server_name_and_port_are_the_visitors(host: str, name: str, port: str) -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.update(environ)
        return hello(environ, start_response)

    ask(app, environ_of("/", HTTP_HOST=host, HTTP_X_FORWARDED_PROTO="https"))

    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == (name, port)
    assert (seen["wsgi.url_scheme"], seen["HTTPS"]) == ("https", "on")


def test_the_probe_is_answered_without_the_app() -> None:
    def never(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise AssertionError("the probe reached the app")

    head, body = ask(never, environ_of("/", HTTP_MERGEPOINT_PROBE="ready"))

    assert " 204 " in head.splitlines()[0]
    assert body == b""


def test_close_is_called_once_even_when_the_client_leaves_early() -> None:
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"one", b"two"])

        def close(self) -> None:
            closed.append("yes")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body()

    answer: Any = WsgiShim(app, True, set())(environ_of("/"), lambda *_: None)
    next(iter(answer))
    answer.close()

    assert closed == ["yes"]


class Told:
    """An iterable answer that notes in `order` what happens to it."""

    def __init__(self, order: list[str], *pieces: bytes) -> None:
        self._order, self._pieces = order, pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self._order.append("end")

    def close(self) -> None:
        self._order.append("close")


@pytest.mark.parametrize("closes", [True, False], ids=["server closes", "server drops it"])
def test_an_answer_in_one_piece_is_a_list_and_ends_after_the_server_took_it(closes: bool) -> None:
    order: list[str] = []

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("content-length", "5")])
        return Told(order, b"whole")

    in_flight: set[Any] = set()
    answer: Any = WsgiShim(app, True, in_flight)(environ_of("/"), lambda *_: None)
    assert isinstance(answer, list)
    assert b"".join(answer) == b"whole"
    assert (order, len(in_flight)) == ([], 1)
    if closes:
        answer.close()
        answer.close()
    del answer
    assert (order, in_flight) == (["end", "close"], set())


@pytest.mark.parametrize("length", ["", "0", "9", "4", "five"])
def test_an_answer_that_may_go_on_is_passed_on_piece_by_piece(length: str) -> None:
    order: list[str] = []

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", length)] if length else [])
        return Told(order, b"whole", b"more")

    answer: Any = WsgiShim(app, True, set())(environ_of("/"), lambda *_: None)
    assert not isinstance(answer, list)
    assert next(iter(answer)) == b"whole"
    assert order == []
    assert list(answer) == [b"more"]
    answer.close()
    assert order == ["end", "close"]


def test_an_error_after_the_first_byte_is_raised_and_before_it_replaces_the_head() -> None:
    heads: list[str] = []

    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"sent"
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", [], sys.exc_info())

    def early(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"sorry"]

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        heads.append(status)

    with pytest.raises(ZeroDivisionError):
        list(WsgiShim(late, True, set())(environ_of("/"), start_response))
    assert heads == ["200 OK"]
    assert list(WsgiShim(early, True, set())(environ_of("/"), start_response)) == [b"sorry"]
    assert heads[-1] == "500 Oops"


def test_an_app_that_never_starts_its_answer_is_an_error() -> None:
    with pytest.raises(AssertionError, match="without calling start_response"):
        WsgiShim(lambda *_: [b"x"], True, set())(environ_of("/"), lambda *_: None)


def test_write_beyond_memory_goes_through_a_file_on_servers_without_write() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        for number in range(40):
            write(bytes([number]) * 100_000)
        return [b"end"]

    answer: Any = WsgiShim(app, True, set())(environ_of("/"), lambda *_: None)
    pieces = list(answer)

    assert b"".join(pieces) == b"".join(bytes([n]) * 100_000 for n in range(40)) + b"end"
    assert max(map(len, pieces)) <= 65536
    answer.close()


def test_a_chunked_body_is_given_its_length() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        assert "HTTP_TRANSFER_ENCODING" not in environ
        return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]

    body = b"x" * 3_000_000
    environ = environ_of("/", HTTP_TRANSFER_ENCODING="chunked", REQUEST_METHOD="POST")
    environ["wsgi.input"] = io.BytesIO(body)

    assert ask(app, environ)[1] == body


def test_a_generator_may_let_another_app_answer() -> None:
    def view(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        header = environ["mergepoint.call"](hello, at="/a")
        start_response("200 OK", [header, ("Set-Cookie", "kept=yes")])
        yield b"not seen"

    head, body = ask(view, environ_of("/tickets/a/b"))

    assert body == b"/tickets/a|/b"
    assert "kept=yes" in head
    assert "Mergepoint-Call" not in head


def test_views_that_call_each_other_without_end_are_stopped() -> None:
    def view(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [environ["mergepoint.call"](view)])
        return []

    with pytest.raises(RecursionError, match="8 deep"):
        WsgiShim(view, True, set())(environ_of("/"), lambda *_: None)


def test_a_request_leaves_nothing_for_the_cycle_collector() -> None:
    import gc

    shim = WsgiShim(hello, True, set())
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            shim(environ_of("/tickets/a"), lambda *_: None)
        assert gc.collect() < 20
    finally:
        gc.enable()
