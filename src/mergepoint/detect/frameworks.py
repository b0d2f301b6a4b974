"""The table of frameworks: which call makes an application, of which interface, with which cookies.

Place:  [detect.frameworks] -> detect.python_source, detect.cookies
Rule:   data only; a new framework is one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mergepoint.detect.candidate import Serve


@dataclass(frozen=True, slots=True)
class Maker:
    """A class or function whose result is an application."""

    framework: str
    serve: Serve
    attribute: str = ""
    """Attribute of the result that is the application; empty when the result itself is."""


MAKERS: Mapping[str, Maker] = {
    "flask.Flask": Maker("Flask", Serve.WSGI),
    "apiflask.APIFlask": Maker("Flask", Serve.WSGI),
    "flask_openapi3.OpenAPI": Maker("Flask", Serve.WSGI),
    "connexion.FlaskApp": Maker("Connexion", Serve.ASGI),
    "connexion.AsyncApp": Maker("Connexion", Serve.ASGI),
    "quart.Quart": Maker("Quart", Serve.ASGI),
    "bottle.Bottle": Maker("Bottle", Serve.WSGI),
    "bottle.default_app": Maker("Bottle", Serve.WSGI),
    "bottle.app": Maker("Bottle", Serve.WSGI),
    "falcon.App": Maker("Falcon", Serve.WSGI),
    "falcon.API": Maker("Falcon", Serve.WSGI),
    "falcon.asgi.App": Maker("Falcon", Serve.ASGI),
    "fastapi.FastAPI": Maker("FastAPI", Serve.ASGI),
    "starlette.applications.Starlette": Maker("Starlette", Serve.ASGI),
    "litestar.Litestar": Maker("Litestar", Serve.ASGI),
    "litestar.app.Litestar": Maker("Litestar", Serve.ASGI),
    "blacksheep.Application": Maker("BlackSheep", Serve.ASGI),
    "fasthtml.common.FastHTML": Maker("FastHTML", Serve.ASGI),
    "sanic.Sanic": Maker("Sanic", Serve.ASGI),
    "django.core.wsgi.get_wsgi_application": Maker("Django", Serve.WSGI),
    "django.core.asgi.get_asgi_application": Maker("Django", Serve.ASGI),
    "channels.routing.ProtocolTypeRouter": Maker("Django", Serve.ASGI),
    "dash.Dash": Maker("Dash", Serve.WSGI, "server"),
    "cherrypy.Application": Maker("CherryPy", Serve.WSGI),
    "web.application": Maker("web.py", Serve.WSGI, "wsgifunc()"),
    "morepath.App": Maker("Morepath", Serve.WSGI),
    "hug.API": Maker("hug", Serve.WSGI),
    "pyramid.config.Configurator.make_wsgi_app": Maker("Pyramid", Serve.WSGI),
    "pyramid.paster.get_app": Maker("Pyramid", Serve.WSGI),
    "pyramid.router.Router": Maker("Pyramid", Serve.WSGI),
    "datasette.app.Datasette.app": Maker("Datasette", Serve.ASGI),
    "socketio.ASGIApp": Maker("Socket.IO", Serve.ASGI),
    "socketio.WSGIApp": Maker("Socket.IO", Serve.WSGI),
    "trac.web.main.dispatch_request": Maker("Trac", Serve.WSGI),
    "mercurial.hgweb.hgweb": Maker("hgweb", Serve.WSGI),
    "klaus.make_app": Maker("Flask", Serve.WSGI),
    "moin.app.create_app": Maker("Flask", Serve.WSGI),
    "pypiserver.app": Maker("Bottle", Serve.WSGI),
}

PACKAGES: Mapping[str, str] = {
    "flask": "Flask",
    "quart": "Quart",
    "bottle": "Bottle",
    "falcon": "Falcon",
    "fastapi": "FastAPI",
    "starlette": "Starlette",
    "litestar": "Litestar",
    "django": "Django",
    "pyramid": "Pyramid",
    "dash": "Dash",
    "cherrypy": "CherryPy",
    "blacksheep": "BlackSheep",
    "sanic": "Sanic",
    "datasette": "Datasette",
    "pypiserver": "pypiserver",
    "klaus": "klaus",
    "radicale": "Radicale",
}
"""Import name to the framework it stands for, most telling first where several are imported."""

MOST_TELLING: tuple[str, ...] = (
    "fastapi",
    "litestar",
    "dash",
    "datasette",
    "pypiserver",
    "klaus",
    "radicale",
    "quart",
    "django",
    "pyramid",
    "flask",
    "falcon",
    "blacksheep",
    "sanic",
    "cherrypy",
    "starlette",
    "bottle",
)

NODE_FRAMEWORKS: Mapping[str, str] = {
    "next": "Next.js",
    "nuxt": "Nuxt",
    "@nestjs/core": "NestJS",
    "@sveltejs/kit": "SvelteKit",
    "fastify": "Fastify",
    "koa": "Koa",
    "hono": "Hono",
    "express": "Express",
}
"""Dependency in package.json to the name shown, most telling first."""


@dataclass(frozen=True, slots=True)
class CookieUse:
    """A cookie a framework sets by default, and how an app renames it."""

    name: str
    rename: str
    """Setting or argument that renames it; ``{new}`` is the proposed name."""
    setting: str
    """Identifier to look for in the source: its string value is the name in use."""
    evidence: tuple[str, ...]
    """Any of these in the source means that the cookie is really used; empty: always."""


COOKIES: Mapping[str, tuple[CookieUse, ...]] = {
    "Flask": (
        CookieUse(
            "session",
            'app.config["SESSION_COOKIE_NAME"] = "{new}"',
            "SESSION_COOKIE_NAME",
            ("session", "flash", "login_user", "SECRET_KEY", "secret_key"),
        ),
    ),
    "Quart": (
        CookieUse(
            "session",
            'app.config["SESSION_COOKIE_NAME"] = "{new}"',
            "SESSION_COOKIE_NAME",
            ("session", "flash", "SECRET_KEY", "secret_key"),
        ),
    ),
    "Django": (
        CookieUse("sessionid", 'SESSION_COOKIE_NAME = "{new}"', "SESSION_COOKIE_NAME", ()),
        CookieUse("csrftoken", 'CSRF_COOKIE_NAME = "{new}"', "CSRF_COOKIE_NAME", ()),
    ),
    "Starlette": (
        CookieUse(
            "session",
            'SessionMiddleware(..., session_cookie="{new}")',
            "session_cookie",
            ("SessionMiddleware",),
        ),
    ),
    "FastAPI": (
        CookieUse(
            "session",
            'SessionMiddleware(..., session_cookie="{new}")',
            "session_cookie",
            ("SessionMiddleware",),
        ),
    ),
    "Pyramid": (
        CookieUse(
            "session",
            'SignedCookieSessionFactory(..., cookie_name="{new}")',
            "cookie_name",
            ("SignedCookieSessionFactory", "BaseCookieSessionFactory"),
        ),
    ),
    "Express": (
        CookieUse("connect.sid", 'session({ name: "{new}", ... })', "name", ("express-session",)),
    ),
}
