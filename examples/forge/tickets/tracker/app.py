"""Build the Flask application: settings, templates, security, error pages.

Place:  wsgi -> [app] -> views, api
Rule:   works at any mount; every address comes from url_for.
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from flask import (
    Flask,
    Response,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from jinja2 import ChoiceLoader, FileSystemLoader
from werkzeug.exceptions import Forbidden, HTTPException

from mergepoint.identity import of
from tracker import api, notices, people, prose, views
from tracker.database import Database
from tracker.settings import Settings, read_shell, secret_key
from tracker.times import day, moment

FORM_BYTES_MAX = 256 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
EXPLANATIONS = {
    400: ("That could not be read", "The request was not complete. Go back and try once more."),
    401: ("Log in first", "Reading is open here; writing is for people who have logged in."),
    403: ("Not for everybody", "You may read here, but not write. An administrator can help."),
    404: ("No such ticket", "Nothing is kept at this address. It may have been mistyped."),
    405: ("Not in this way", "This address does not take that kind of request."),
    413: ("Too much at once", f"A form may hold up to {FORM_BYTES_MAX // 1024} KB."),
    500: ("Something broke here", "It was our fault and it has been logged. Please try again."),
}
EXPIRED = ("This form has expired", "Go back, reload the page and send it again.")


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application; the database is laid out if `prepare` has not done so."""
    settings = settings or Settings.from_environment()
    app = Flask(__name__, static_folder=None)
    app.secret_key = secret_key(settings.data)
    app.config.update(
        MAX_CONTENT_LENGTH=FORM_BYTES_MAX,
        SESSION_COOKIE_NAME="tickets_session",
        SESSION_COOKIE_SAMESITE="Lax",
    )
    own = FileSystemLoader(Path(__file__).parent / "templates")
    app.jinja_loader = ChoiceLoader([own, FileSystemLoader(settings.shell / "templates")])
    app.extensions["shell"] = shell = read_shell(settings.shell, "tickets")
    app.jinja_env.globals.update(shell=shell, csrf_token=csrf_token)
    app.context_processor(lambda: people.context(shell))
    wiki = next((entry["named"] for entry in shell["apps"] if entry["name"] == "wiki"), "")
    app.jinja_env.filters.update(prose=partial(prose.render, wiki=wiki), day=day, moment=moment)
    app.extensions["settings"] = settings
    app.extensions["tickets"] = database = Database(settings.database)
    database.create()
    app.before_request(refuse_forged_forms)
    app.after_request(add_security_headers)
    app.register_error_handler(Exception, explain)
    app.register_blueprint(views.pages)
    app.register_blueprint(notices.notices)
    app.register_blueprint(api.api)
    return app


class FormExpired(Forbidden):
    """A post without the secret of this browser's session."""


def csrf_token() -> str:
    """Return the secret of this browser's session, which every form must carry."""
    token = session.setdefault("csrf", secrets.token_urlsafe(24))
    return str(token)


def refuse_forged_forms() -> None:
    """Answer 403 to a post that does not carry the session's secret."""
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    sent, expected = request.form.get("csrf", ""), session.get("csrf", "")
    if not expected or not secrets.compare_digest(sent.encode(), expected.encode()):
        raise FormExpired


def add_security_headers(response: Response) -> Response:
    """Give every answer the headers that keep a browser from doing more than it should."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if "Set-Cookie" in response.headers or request.method == "POST":
        response.headers.setdefault("Cache-Control", "no-store")
    elif not of(request).anonymous:
        response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def explain(error: Exception) -> tuple[str | Response, int] | Response:
    """Answer every error in the shell, or as JSON under /api; unknown ones are logged.

    Whoever opens a page that needs a login is sent there and comes back to it.
    """
    if isinstance(error, HTTPException):
        status = error.code or 500
        if status < 400:
            return Response.force_type(error.get_response(), request.environ)
    else:
        status = 500
        views.log().exception("cannot answer %s %s", request.method, request.path)
    title, detail = EXPLANATIONS.get(status, EXPLANATIONS[400 if status < 500 else 500])
    if isinstance(error, FormExpired):
        title, detail = EXPIRED
    if request.path.startswith("/api/"):
        return jsonify(error=title, detail=detail), status
    if status == 401 and request.method == "GET":
        return redirect(people.context(current_app.extensions["shell"])["visitor"]["login"], 303)
    home = url_for("pages.tickets")
    told = {"status": status, "title": title, "detail": detail, "home": home}
    told["login"] = status == 401
    return render_template("shell/error.html", error=told), status
