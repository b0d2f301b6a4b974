"""Build the front as a plain WSGI callable: start page, search, the shell's files.

Place:  wsgi -> [app] -> asking
Rule:   GET and HEAD only; every answer is small and whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote
from wsgiref.types import StartResponse, WSGIEnvironment

from jinja2 import Environment, FileSystemLoader

from mergepoint.identity import of
from portal import marking
from portal.asking import Asking, News
from portal.people import visitor
from portal.settings import Settings, read_shell

log = logging.getLogger("portal")
QUERY_CHARS_MAX = 200
HTML = "text/html; charset=utf-8"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
TYPES |= {".svg": "image/svg+xml"}
SECURITY_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
Answer = tuple[HTTPStatus, str, bytes]
WsgiApp = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def create_app(settings: Settings | None = None) -> WsgiApp:
    """Return the application; it asks nobody before the first request."""
    return Front(settings or Settings.from_environment())


class Front:
    """The front's WSGI callable."""

    def __init__(self, settings: Settings) -> None:
        places = [Path(__file__).parent / "templates", settings.shell / "templates"]
        self._templates = Environment(loader=FileSystemLoader(places), autoescape=True)
        self._shell = read_shell(settings.shell, "front")
        self._templates.globals["shell"] = self._shell
        self._templates.filters.update(marked=marking.marked, day=marking.day)
        apis = {app["name"]: app["api"] for app in self._shell["apps"] if "api" in app}
        self._asking = Asking(settings.site_url, apis, settings.token)
        self._news = News(self._asking)
        files = sorted((settings.shell / "static").iterdir())
        # Read once: these few files are the whole list of names that can be asked for.
        self._files = {f"/shell/{file.name}": (_type(file), file.read_bytes()) for file in files}
        # Browsers ask for this name where a page links no icon, such as in Django's admin.
        self._files["/favicon.ico"] = self._files["/shell/mark.svg"]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method = environ["REQUEST_METHOD"]
        try:
            status, kind, body = self._answer(method, environ)
        except Exception:
            log.exception("cannot answer %s", environ.get("PATH_INFO"))
            status, kind, body = self._error(environ, HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *SECURITY_HEADERS]
        if kind != HTML:
            headers.append(("Cache-Control", "public, max-age=3600"))
        elif not of(environ).anonymous:
            headers.append(("Cache-Control", "private, no-cache"))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if method == "HEAD" else [body]

    def _answer(self, method: str, environ: WSGIEnvironment) -> Answer:
        path = environ.get("PATH_INFO", "")
        if method not in {"GET", "HEAD"}:
            return self._error(environ, HTTPStatus.METHOD_NOT_ALLOWED)
        if path in {"", "/"}:
            news = self._news.newest()
            return self._page(environ, "start.html", news=news, apps=self._apps_for(environ))
        if path == "/search":
            return self._search(environ)
        if path in self._files:
            kind, body = self._files[path]
            return HTTPStatus.OK, kind, body
        return self._error(environ, HTTPStatus.NOT_FOUND)

    def _search(self, environ: WSGIEnvironment) -> Answer:
        asked = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=20).get("q", [""])[0]
        words = asked.replace("\x00", "").strip()[:QUERY_CHARS_MAX]
        found = self._asking.all("search", {"q": words}) if words else {}
        hits = sum(len(answer.items) for answer in found.values())
        values: dict[str, Any] = {"words": words, "found": found, "hits": hits}
        values["apps"] = self._apps_for(environ)
        return self._page(environ, "search.html", quoted=quote(words), **values)

    def _apps_for(self, environ: WSGIEnvironment) -> list[dict[str, str]]:
        """Return the apps to tell of, without those that are closed to whoever asks."""
        shown = visitor(self._shell, of(environ), "/")["apps"]
        return [app for app in shown if "api" in app]

    def _error(self, environ: WSGIEnvironment, status: HTTPStatus) -> Answer:
        titles = {404: "Nothing here", 405: "Not in this way", 500: "Something broke here"}
        detail = "The address may have been mistyped, or the page has moved."
        if status.value >= 500:
            detail = "It was our fault and has been logged. Please try again."
        told = {"status": status.value, "title": titles[status.value], "detail": detail}
        _, kind, body = self._page(environ, "shell/error.html", error={**told, "home": "/"})
        return status, kind, body

    def _page(self, environ: WSGIEnvironment, template: str, **values: Any) -> Answer:
        shown = visitor(self._shell, of(environ), here(environ))
        html = self._templates.get_template(template).render(visitor=shown, **values)
        return HTTPStatus.OK, HTML, html.encode()


def here(environ: WSGIEnvironment) -> str:
    """Return the address of the page at hand, for coming back to it after a login; pure."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    return (quote(path.encode("latin-1"), safe="/") or "/") + (f"?{query}" if query else "")


def _type(file: Path) -> str:
    return TYPES.get(file.suffix, "application/octet-stream")
