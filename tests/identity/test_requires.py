"""One decorator, every framework: who is let in, and how the others are told no."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import bottle
import fastapi
import flask
import pytest
from flask.views import MethodView
from mergepoint_testkit.identities import headers
from mergepoint_testkit.in_process import Answer, ask_asgi, ask_websocket, ask_wsgi
from pyramid.config import Configurator
from pyramid.response import Response
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from mergepoint.identity import ANONYMOUS, Identity, Refused, of, requires
from mergepoint.identity.demand import Demand
from mergepoint.identity.refusal import REASONS

EDITOR = headers("ada", permissions=["tickets.edit"])
READER = headers("bob", permissions=["tickets.read"])
ADMIN = headers("eve", roles=["admin"])
NOBODY: dict[str, str] = {}

edits = requires("tickets.edit")


def on_flask() -> Callable[..., Any]:
    app = flask.Flask("guarded")

    @app.get("/function")
    @edits
    def function() -> str:
        return of(flask.request).user

    @app.get("/coroutine")
    @edits
    async def coroutine() -> str:
        return of(flask.request).user

    class Page(MethodView):
        decorators = (requires(role="admin"),)

        def get(self) -> str:
            return of(flask.request).user

    app.add_url_rule("/role", view_func=Page.as_view("page"))

    class Method(MethodView):
        @edits
        def get(self) -> str:
            return of(flask.request).user

    app.add_url_rule("/method", view_func=Method.as_view("method"))

    @edits
    def deep() -> str:
        return of(flask.request._get_current_object()).user

    app.add_url_rule("/called", view_func=lambda: deep())
    return app


def on_bottle() -> Callable[..., Any]:
    app = bottle.Bottle()

    @app.get("/function")
    @edits
    def function() -> str:
        return of(bottle.request).user

    @app.get("/role")
    @requires(role="admin")
    def role() -> str:
        return of(bottle.request).user

    class Pages:
        @edits
        def page(self) -> str:
            return of(bottle.request).user

    app.route("/method", callback=Pages().page)

    @edits
    def deep(number: int) -> str:
        return of(bottle.request).user

    app.route("/called", callback=lambda: deep(7))
    return app


def on_pyramid() -> Callable[..., Any]:
    class Pages:
        def __init__(self, request: Any) -> None:
            self.request = request

        @edits
        def method(self) -> Response:
            return Response(of(self.request).user)

    @edits
    def function(request: Any) -> Response:
        return Response(of(request).user)

    @edits
    def called(context: Any, request: Any) -> Response:
        return Response(of(request).user)

    @requires(role="admin")
    def role(request: Any) -> Response:
        return Response(of(request).user)

    with Configurator() as config:
        for view in (function, called, role):
            config.add_route(view.__name__, "/" + view.__name__)
            config.add_view(view, route_name=view.__name__)
        config.add_route("method", "/method")
        config.add_view(Pages, attr="method", route_name="method")
        return config.make_wsgi_app()


def on_starlette() -> Callable[..., Any]:
    @edits
    async def coroutine(request: Any) -> Any:
        return PlainTextResponse(of(request).user)

    @edits
    def function(request: Any) -> Any:
        return PlainTextResponse(of(request).user)

    @requires(role="admin")
    def role(request: Any) -> Any:
        return PlainTextResponse(of(request).user)

    class Method(HTTPEndpoint):
        @edits
        async def get(self, request: Any) -> Any:
            return PlainTextResponse(of(request).user)

    @edits
    async def ws(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(of(websocket).user)

    views = [Route("/" + view.__name__, view) for view in (coroutine, function, role)]
    return Starlette(routes=[*views, Route("/method", Method), WebSocketRoute("/ws", ws)])


def on_fastapi() -> Callable[..., Any]:
    app = fastapi.FastAPI()
    plain = fastapi.responses.PlainTextResponse

    @app.get("/coroutine", response_class=plain)
    @edits
    async def coroutine(request: fastapi.Request) -> str:
        return of(request).user

    @app.get("/function", response_class=plain)
    @edits
    def function(request: fastapi.Request, number: int = 3) -> str:
        return of(request).user if number == 3 else "?"

    @app.get("/called", response_class=plain)
    @edits
    async def without(number: int = 3) -> str:
        return "ada" if number == 3 else "?"

    @app.get("/role", response_class=plain)
    @requires(role="admin")
    def role() -> str:
        return "eve"

    @app.websocket("/ws")
    @edits
    async def ws(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(of(websocket).user)

    return app


def on_wsgi() -> Callable[..., Any]:
    @edits
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [of(environ).user.encode()]

    return app


def on_asgi() -> Callable[..., Any]:
    @edits
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": of(scope).user})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": of(scope).user.encode()})

    return app


class Case(NamedTuple):
    make: Callable[[], Callable[..., Any]]
    ask: Callable[..., Answer]
    paths: tuple[str, ...]


CASES = {
    "flask": Case(on_flask, ask_wsgi, ("/function", "/coroutine", "/method", "/called")),
    "bottle": Case(on_bottle, ask_wsgi, ("/function", "/method", "/called")),
    "pyramid": Case(on_pyramid, ask_wsgi, ("/function", "/method", "/called")),
    "starlette": Case(on_starlette, ask_asgi, ("/coroutine", "/function", "/method")),
    "fastapi": Case(on_fastapi, ask_asgi, ("/coroutine", "/function", "/called")),
    "wsgi": Case(on_wsgi, ask_wsgi, ("/",)),
    "asgi": Case(on_asgi, ask_asgi, ("/",)),
}
PAGES = [(name, path) for name, case in CASES.items() for path in case.paths]


@pytest.mark.parametrize(("name", "path"), PAGES)
def test_who_has_the_permission_is_let_in_and_known(name: str, path: str) -> None:
    answer = CASES[name].ask(CASES[name].make(), path, EDITOR)

    assert (answer.status, answer.body) == (200, "ada")


@pytest.mark.parametrize(("name", "path"), PAGES)
def test_who_lacks_it_gets_403_and_nobody_gets_401_with_a_challenge(name: str, path: str) -> None:
    app = CASES[name].make()
    forbidden = CASES[name].ask(app, path, READER)
    unproven = CASES[name].ask(app, path, NOBODY)

    assert forbidden.status == 403
    assert "tickets.edit" in forbidden.body
    assert "ada" not in forbidden.body
    assert unproven.status == 401
    assert unproven.headers["www-authenticate"].lower() == "bearer"


@pytest.mark.parametrize("name", ["flask", "bottle", "pyramid", "starlette", "fastapi"])
def test_a_role_opens_what_asks_for_one(name: str) -> None:
    app = CASES[name].make()
    statuses = [CASES[name].ask(app, "/role", who).status for who in (ADMIN, EDITOR, NOBODY)]

    assert statuses == [200, 403, 401]


@pytest.mark.parametrize("name", ["starlette", "fastapi", "asgi"])
def test_a_websocket_is_closed_before_it_is_accepted(name: str) -> None:
    app = CASES[name].make()

    accepted = ask_websocket(app, "/ws", EDITOR)
    assert [message["type"] for message in accepted][:2] == ["websocket.accept", "websocket.send"]
    assert accepted[1]["text"] == "ada"
    for who in (READER, NOBODY):
        sent = ask_websocket(app, "/ws", who)
        assert [(message["type"], message["code"]) for message in sent] == [
            ("websocket.close", 1008)
        ]


def test_a_refusal_is_caught_by_one_class_and_by_the_framework() -> None:
    app = flask.Flask("handled")

    @app.get("/ours")
    def ours() -> str:
        try:
            return edits(lambda request: "in")(flask.request)
        except Refused as error:
            return f"{error.identity.user} needs {error.wanted}"

    @app.errorhandler(403)
    def forbidden(error: Any) -> tuple[str, int]:
        return "our own page", 403

    @app.get("/theirs")
    @edits
    def theirs() -> str:
        return "in"

    assert ask_wsgi(app, "/ours", READER).body == "bob needs permission tickets.edit"
    assert ask_wsgi(app, "/theirs", READER).body == "our own page"


def test_no_request_is_an_error_and_never_a_pass() -> None:
    with pytest.raises(TypeError, match=r"found no request among the arguments of .*<lambda>"):
        edits(lambda number: number)(7)


def test_a_request_that_a_thread_served_before_is_not_taken_for_this_one() -> None:
    app = on_bottle()
    assert ask_wsgi(app, "/function", EDITOR).status == 200

    with pytest.raises(TypeError, match="found no request"):
        edits(lambda: "in")()


def test_json_that_looks_like_a_scope_proves_nobody() -> None:
    forged = {"type": "http", "path": "/", "headers": [], "mergepoint": {"identity": "root"}}
    forged_environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "mergepoint.identity": {"user": "x"},
    }

    assert of(forged) is ANONYMOUS
    assert of(forged_environ) is ANONYMOUS


@pytest.mark.parametrize("thing", [None, 7, "request", {}, {"type": "lifespan"}, object()])
def test_what_is_no_request_is_a_clear_error(thing: object) -> None:
    with pytest.raises(TypeError, match="no request, WSGI environ or ASGI scope"):
        of(thing)


def test_the_decorator_without_parentheses_or_on_a_class_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="not the name of a permission"):
        requires(lambda request: "in")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="guards functions and methods"):
        edits(type("Page", (), {}))


def test_lifespan_passes_a_guarded_asgi_app() -> None:
    seen: list[str] = []

    @edits
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    coroutine = app({"type": "lifespan"}, None, None)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert seen == ["lifespan"]


def test_any_one_of_what_is_named_will_do_and_stacked_all_must() -> None:
    both = Identity(sub="1", user="a", roles=("admin",), permissions=("a.x",))
    demand = Demand(("a.x", "b.x"), ("owner",), ("team",))

    assert demand.met_by(both)
    assert not Demand(("b.x",), ("owner",), ("team",)).met_by(both)
    assert Demand().met_by(both) and not Demand().met_by(ANONYMOUS)
    assert str(demand) == "permission a.x or permission b.x or role owner or group team"
    view = requires(role="admin")(requires("b.x")(lambda environ: "in"))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "mergepoint.identity": both}
    with pytest.raises(Refused, match=r"needs permission b\.x; you are a"):
        view(environ)


def test_every_status_is_known_to_every_framework() -> None:
    from mergepoint.identity import refusal

    for name, (module, _, _) in refusal.NAMES.items():
        if name == "django":
            continue  # needs settings; tests/identity/test_django.py has it
        assert module in sys.modules
        for who, status in ((ANONYMOUS, 401), (Identity(sub="1", user="a"), 403)):
            error = refusal.error(name, who, "more")
            assert isinstance(error, Refused)
            assert status in REASONS and error.identity is who
