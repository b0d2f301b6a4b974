"""Frameworks' own users and permissions, filled from the site's login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import bottle
import fastapi
import flask
import flask_login
import pytest
from mergepoint_testkit.identities import headers
from mergepoint_testkit.in_process import ask_asgi, ask_websocket, ask_wsgi
from pyramid.authorization import Allow, Authenticated, Deny, Everyone
from pyramid.config import Configurator
from pyramid.response import Response
from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mergepoint.identity import Identity
from mergepoint.identity.adapters import bottle as on_bottle
from mergepoint.identity.adapters import fastapi as on_fastapi
from mergepoint.identity.adapters import flask as on_flask
from mergepoint.identity.adapters import flask_login as on_flask_login
from mergepoint.identity.adapters import pyramid as on_pyramid
from mergepoint.identity.adapters import starlette as on_starlette

ADA = headers("ada", roles=["admin"], groups=["team"], permissions=["tickets.*"])
BOB = headers("bob", groups=["team"])
NOBODY: dict[str, str] = {}


def flask_app(**connected: Any) -> flask.Flask:
    app = flask.Flask("members")
    app.secret_key = "tests"
    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda _: pytest.fail("the app's own loader must not be asked"))
    on_flask_login.connect(manager, **connected)

    @app.get("/me")
    def me() -> str:
        user = flask_login.current_user
        return f"{user.get_id()} {user.name}" if user.is_authenticated else "nobody"

    @app.get("/members")
    @flask_login.login_required
    def members() -> str:
        return flask_login.current_user.identity.user

    @app.get("/remember")
    def remember() -> str:
        user = on_flask_login.SiteUser(Identity(sub="old", user="mallory"))
        flask_login.login_user(user, remember=True)
        return "done"

    return app


def test_flask_login_s_current_user_is_who_the_site_says() -> None:
    app = flask_app()

    assert ask_wsgi(app, "/me", ADA).body == "sub-of-ada Ada Ünique"
    assert ask_wsgi(app, "/me", NOBODY).body == "nobody"
    assert ask_wsgi(app, "/members", BOB).body == "bob"


def test_flask_login_sends_nobody_to_the_site_s_login_page() -> None:
    answer = ask_wsgi(flask_app(), "/t/members", {"X-Forwarded-Prefix": "/t"})

    assert answer.status == 303
    assert answer.headers["location"] == "/-/accounts/login?next=%2Ft%2Fmembers"


def test_what_flask_login_remembers_never_outweighs_the_site() -> None:
    app = flask_app()
    client = app.test_client()
    client.get("/remember")
    jar = {cookie.key: cookie.value for cookie in client._cookies.values()}
    assert {"session", "remember_token"} <= set(jar)
    old = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}

    assert ask_wsgi(app, "/me", old).body == "nobody"
    assert ask_wsgi(app, "/me", {**old, **BOB}).body.startswith("sub-of-bob")


def test_an_app_s_own_users_are_found_by_identity_and_unknown_ones_refused() -> None:
    known = {"ada": on_flask_login.SiteUser(Identity(sub="7", user="own-ada"))}
    app = flask_app(user_for=lambda identity: known.get(identity.user))

    assert ask_wsgi(app, "/members", ADA).body == "own-ada"
    assert ask_wsgi(app, "/me", BOB).body == "nobody"
    assert ask_wsgi(app, "/members", BOB).status == 403, "a login would lead back here for ever"


def session_app() -> flask.Flask:
    app = flask.Flask("sessions")
    app.secret_key = "tests"
    on_flask.guard_session(app)

    @app.get("/keep")
    def keep() -> str:
        if "word" in flask.request.args:
            flask.session["word"] = flask.request.args["word"]
        return str(flask.session.get("word", "nothing"))

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    return app


def test_a_session_of_flask_never_passes_from_one_person_to_the_next() -> None:
    app = session_app()

    def keep(who: dict[str, str], cookie: str = "", path: str = "/keep") -> tuple[str, str]:
        answer = ask_wsgi(app, path, {**who, **({"Cookie": cookie} if cookie else {})})
        return answer.body, answer.headers.get("set-cookie", "").partition(";")[0]

    _, begun = keep(NOBODY, path="/keep?word=basket")
    assert keep(ADA, begun)[0] == "basket", "what began before the login goes on"
    _, adas = keep(ADA, begun, "/keep?word=secret")
    assert keep(ADA, adas)[0] == "secret"
    assert keep(BOB, adas)[0] == "nothing"
    assert keep(NOBODY, adas)[0] == "nothing"
    _, bobs = keep(BOB, adas, "/keep?word=own")
    assert keep(BOB, bobs)[0] == "own"
    assert keep(ADA, bobs)[0] == "nothing"


def test_a_page_that_uses_no_session_does_not_vary_by_cookie() -> None:
    answer = ask_wsgi(session_app(), "/plain", ADA)

    assert "vary" not in answer.headers and "set-cookie" not in answer.headers


def pyramid_app() -> Callable[..., Any]:
    class Ticket:
        __acl__ = (
            (Deny, "user:bob", "edit"),
            (Allow, "group:team", "edit"),
            (Allow, "sub-of-ada", "own"),
            (Allow, Authenticated, "view"),
            (Allow, Everyone, "look"),
        )

    def view(request: Any) -> Response:
        who = request.identity
        return Response(f"{request.authenticated_userid} {who.name if who else '-'}")

    with Configurator() as config:
        config.set_security_policy(on_pyramid.IdentityPolicy())
        config.add_route("me", "/me")
        config.add_view(view, route_name="me")
        config.add_route("plain", "/plain")
        config.add_view(view, route_name="plain", permission="tickets.edit")
        for name in ("edit", "view", "look", "own", "tickets.edit"):
            config.add_route(name, f"/acl/{name}", factory=lambda request: Ticket())
            config.add_view(view, route_name=name, permission=name)
        return config.make_wsgi_app()


def test_pyramid_knows_who_asks_and_the_site_s_permissions() -> None:
    app = pyramid_app()

    assert ask_wsgi(app, "/me", ADA).body == "ada Ada Ünique"
    assert ask_wsgi(app, "/me", NOBODY).body == "None -"
    statuses = [ask_wsgi(app, "/plain", who).status for who in (ADA, BOB, NOBODY)]
    assert statuses == [200, 403, 403]


@pytest.mark.parametrize(
    ("permission", "ada", "bob", "nobody"),
    [
        ("edit", 200, 403, 403),
        ("own", 200, 403, 403),
        ("view", 200, 200, 403),
        ("look", 200, 200, 200),
        ("tickets.edit", 403, 403, 403),
    ],
)
def test_an_acl_of_pyramid_decides_alone_by_user_role_and_group(
    permission: str, ada: int, bob: int, nobody: int
) -> None:
    app = pyramid_app()
    statuses = [ask_wsgi(app, f"/acl/{permission}", who).status for who in (ADA, BOB, NOBODY)]

    assert statuses == [ada, bob, nobody]


def test_starlette_has_its_user_and_scopes() -> None:
    async def me(request: Any) -> Any:
        return PlainTextResponse(f"{request.user.is_authenticated} {request.user.display_name}")

    @starlette_requires("role:admin")
    async def admins(request: Any) -> Any:
        return PlainTextResponse(request.user.identity)

    @starlette_requires(["authenticated", "group:team"])
    async def team(request: Any) -> Any:
        return PlainTextResponse(request.user.site_identity.user)

    guard = Middleware(AuthenticationMiddleware, backend=on_starlette.IdentityBackend())
    routes = [Route("/me", me), Route("/admins", admins), Route("/team", team)]
    app = Starlette(routes=routes, middleware=[guard])

    assert ask_asgi(app, "/me", ADA).body == "True Ada Ünique"
    assert ask_asgi(app, "/me", NOBODY).body == "False "
    assert ask_asgi(app, "/admins", ADA).body == "sub-of-ada"
    assert [ask_asgi(app, "/admins", who).status for who in (BOB, NOBODY)] == [403, 403]
    assert ask_asgi(app, "/team", BOB).body == "bob"


Editor = Annotated[Identity, fastapi.Depends(on_fastapi.needs("tickets.edit"))]


def fastapi_app() -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.get("/me")
    async def me(who: on_fastapi.Who) -> str:
        return who.user

    @app.get("/edit")
    def edit(who: Editor) -> str:
        return who.user

    @app.get("/admin", dependencies=[fastapi.Depends(on_fastapi.needs(role="admin"))])
    def admin() -> str:
        return "in"

    @app.websocket("/ws")
    async def ws(websocket: fastapi.WebSocket, who: Editor) -> None:
        await websocket.accept()
        await websocket.send_text(who.user)

    return app


def test_fastapi_gives_the_identity_and_refuses_by_dependency() -> None:
    app = fastapi_app()

    assert [ask_asgi(app, "/me", who).body for who in (ADA, NOBODY)] == ['"ada"', '""']
    assert ask_asgi(app, "/edit", ADA).body == '"ada"'
    refused = ask_asgi(app, "/edit", BOB)
    assert (refused.status, "tickets.edit" in refused.body) == (403, True)
    assert [ask_asgi(app, "/admin", who).status for who in (ADA, BOB, NOBODY)] == [200, 403, 401]


def test_fastapi_s_websockets_and_its_description_work_with_the_dependency() -> None:
    app = fastapi_app()

    assert ask_websocket(app, "/ws", ADA)[1]["text"] == "ada"
    assert ask_websocket(app, "/ws", BOB)[0]["code"] == 1008
    assert ask_asgi(app, "/openapi.json").status == 200


def test_bottle_gives_the_identity_to_views_that_take_it_and_guards_routes() -> None:
    app = bottle.Bottle()
    app.install(on_bottle.IdentityPlugin())

    @app.get("/me/<number:int>")
    def me(number: int, identity: Identity) -> str:
        return f"{number} {identity.user}"

    @app.get("/edit", requires="tickets.edit")
    def edit(identity: Identity) -> str:
        return identity.user

    @app.get("/either", requires=["tickets.edit", "wiki.edit"])
    def either() -> str:
        return "in"

    @app.get("/open")
    def opened() -> str:
        return "open"

    assert ask_wsgi(app, "/me/7", ADA).body == "7 ada"
    assert ask_wsgi(app, "/me/7", NOBODY).body == "7 "
    for path in ("/edit", "/either"):
        assert [ask_wsgi(app, path, who).status for who in (ADA, BOB, NOBODY)] == [200, 403, 401]
    assert ask_wsgi(app, "/open", NOBODY).body == "open"
