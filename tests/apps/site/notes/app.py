"""A Pyramid notebook: a page with a static file, a session, a form, and an upload."""

import hashlib

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

NOTES = []
PAGE = """<!doctype html><title>Notes</title><link rel="stylesheet" href="{style}">
<h1>Notes</h1><p>Visit {visits}</p><ul>{items}</ul>
<form method="post" action="{add}"><input name="text"><button>Add</button></form>
<a href="{home}">again</a>"""


def home(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return Response(
        PAGE.format(
            style=request.static_path("app:static/notes.css"),
            visits=request.session["visits"],
            items="".join(f"<li>{text}</li>" for text in NOTES),
            add=request.route_path("add"),
            home=request.route_path("home"),
        )
    )


def add(request):
    NOTES.append(request.POST["text"])
    return HTTPSeeOther(request.route_path("home"))


def upload(request):
    digest, size = hashlib.sha256(), 0
    while chunk := request.body_file.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return Response(json_body={"size": size, "sha256": digest.hexdigest()})


def download(request):
    pieces = (bytes(65536) for _ in range(int(request.params["size"]) // 65536))
    return Response(app_iter=pieces, content_type="application/octet-stream")


def make():
    with Configurator() as config:
        config.set_session_factory(SignedCookieSessionFactory("only for this test"))
        config.add_static_view("static", "app:static")
        config.add_route("home", "/")
        for name in ("add", "upload", "download"):
            config.add_route(name, "/" + name)
        for view in (home, add, upload, download):
            config.add_view(view, route_name=view.__name__)
        return config.make_wsgi_app()
