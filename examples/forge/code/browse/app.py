"""Build the Bottle application: routes, errors, headers.

Place:  wsgi -> [app] -> pages, api, hosting
Rule:   paths inside repositories are read from the raw address: they may be any bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bottle import Bottle, HTTPError, HTTPResponse, redirect, request

from browse import api
from browse.hosting import Hosting
from browse.pages import RepositoryPages
from browse.people import IMPORT
from browse.rendering import Rendering, add_security_headers, addresses
from browse.repositories import Listed, Missing, default_ref, listed, opened, resolve
from browse.settings import IN_SITE, Settings
from browse.trees import told
from mergepoint.identity import of


def create_app(settings: Settings | None = None) -> Bottle:
    """Return the application; the directory of repositories may appear later."""
    settings = settings or Settings.from_environment()
    directory = settings.repositories
    render = Rendering(settings)
    pages = RepositoryPages(render)
    git = Hosting(settings)
    views = {
        "at": pages.at,
        "raw": pages.raw,
        "log": pages.log,
        "commit": pages.commit,
        "refs": pages.refs,
        "search": pages.search,
        "archive": pages.archive,
    }
    app = Bottle()
    app.default_error_handler = render.error  # type: ignore[method-assign]
    app.add_hook("after_request", add_security_headers)

    @app.get("/")
    def repositories() -> str:
        shown = [_summary(directory, entry) for entry in listed(directory)]
        may_import = IN_SITE and of(request).may(IMPORT)
        told = {"repositories": shown, "directory": directory, "may_import": may_import}
        return render.page("repositories.html", **told)

    @app.get("/api/search")
    def search() -> dict[str, object]:
        return api.search_all(directory, request.query.getunicode("q", ""), addresses())

    @app.get("/api/recent")
    def recent() -> dict[str, object]:
        return api.recent(directory, addresses())

    if IN_SITE:
        from browse import imports

        imports.add_to(app, render, settings)

    @app.get("/<name>/info/refs")
    def refs(name: str) -> HTTPResponse:
        return git.refs(name, request.environ, request.query.get("service", ""))

    @app.post("/<name>/<service:re:git-(?:upload|receive)-pack>")
    def exchange(name: str, service: str) -> HTTPResponse:
        return git.exchange(name, request.environ, service)

    @app.get("/<name>")
    @app.get("/<name>/")
    def home(name: str) -> str:
        with _found(), opened(directory, name) as repo:
            return pages.home(repo, name)

    @app.get("/<name>/<view>")
    @app.get("/<name>/<view>/<_rest:re:[\\s\\S]*>")  # names of files may even hold line ends
    def view(name: str, view: str, _rest: str = "") -> str | HTTPResponse:
        if view not in views:
            raise HTTPError(404, "There is nothing at this address.")
        with _found(), opened(directory, name) as repo:
            if view == "at" and not _raw_rest():
                redirect(addresses().repo(name))
            return views[view](repo, name, _raw_rest())

    return app


@contextmanager
def _found() -> Iterator[None]:
    """Turn `Missing` into a 404 with its message."""
    try:
        yield
    except Missing as error:
        raise HTTPError(404, str(error)) from error


def _raw_rest() -> bytes:
    # "/name/view/rest": Bottle drops bytes that are not UTF-8 from what it hands over.
    raw: bytes = request.environ["bottle.raw_path"].encode("latin-1")
    parts = raw.split(b"/", 3)
    return parts[3].strip(b"/") if len(parts) > 3 else b""


def _summary(directory: Path, entry: Listed) -> dict[str, object]:
    if entry.trouble:
        return {"entry": entry, "last": None, "ref": None}
    with opened(directory, entry.name) as repo:
        ref = default_ref(repo)
        last = told(resolve(repo, ref).commit) if ref else None
        return {"entry": entry, "last": last, "ref": ref}
