"""Templates, security headers and error pages.

Place:  settings, addresses -> [rendering] -> pages, app
Rule:   everything is escaped unless showing.py made it.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from bottle import HTTPError, HTTPResponse, request, response
from jinja2 import Environment, FileSystemLoader

from browse.addresses import Addresses
from browse.people import visitor
from browse.settings import Settings, read_shell
from mergepoint.identity import of

log = logging.getLogger("browse")
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TITLES = {
    403: "Not for everybody",
    404: "Not in this repository",
    405: "Not in this way",
    500: "Something broke here",
}
SIZES = ("bytes", "KB", "MB", "GB")


class Rendering:
    """Renders this app's templates inside the shell."""

    def __init__(self, settings: Settings) -> None:
        places = [Path(__file__).parent / "templates", settings.shell / "templates"]
        self._templates = Environment(
            loader=FileSystemLoader(places), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        self._shell = read_shell(settings.shell, "code")
        self._templates.globals.update(shell=self._shell, clone_url=clone_url)
        self._templates.filters.update(text=text, day=day, moment=moment, size=size, short=short)

    def page(self, template: str, **values: object) -> str:
        """Return the page for the request at hand."""
        response.content_type = "text/html; charset=utf-8"
        shown = visitor(self._shell, of(request), here())
        template_ = self._templates.get_template(template)
        return template_.render(to=addresses(), visitor=shown, **values)

    def error(self, error: HTTPError) -> str:
        """Return the error page, for Bottle's doorway; unknown errors are logged."""
        status = error.status_code
        if status >= 500:
            log.error("cannot answer %s", request.url, exc_info=error.exception)
        detail = str(error.body) if status in {403, 404} else "Please go back and try again."
        told = {
            "status": status,
            "title": TITLES.get(status, "That did not work"),
            "detail": detail,
            "home": addresses().home(),
        }
        return self.page("shell/error.html", error=told)


def addresses() -> Addresses:
    """Return the addresses under the mount of the request at hand."""
    # WSGI keeps bytes as latin-1 text; the mount is UTF-8 like every address.
    mount = request.environ.get("SCRIPT_NAME", "").rstrip("/")
    return Addresses(mount.encode("latin-1").decode("utf-8", "replace"))


def clone_url(name: str) -> str:
    """Return the whole address that Git is told, at the host that was asked."""
    asked = request.urlparts
    return f"{asked.scheme}://{asked.netloc}{addresses().repo(name)}.git"


def here() -> str:
    """Return the address of the page at hand, for coming back to it after a login."""
    raw: str = request.environ.get("bottle.raw_path", request.environ["PATH_INFO"])
    path = request.environ.get("SCRIPT_NAME", "") + raw
    query = request.query_string
    return quote(path.encode("latin-1"), safe="/") + (f"?{query}" if query else "")


def add_security_headers(answer: HTTPResponse | None = None) -> None:
    """Give the answer the headers that keep a browser from doing more than it should."""
    target = answer or response
    for name, value in SECURITY_HEADERS.items():
        target.headers.setdefault(name, value)
    if not of(request).anonymous:
        target.headers.setdefault("Cache-Control", "private, no-cache")


def text(value: bytes) -> str:
    """Write a name of any bytes."""
    return value.decode("utf-8", "replace")


def day(at: datetime) -> str:
    """Write a date as people say it: 3 November 2026."""
    return f"{at.day} {at:%B %Y}"


def moment(at: datetime) -> str:
    """Write a moment for machines, with its zone."""
    return at.isoformat(timespec="seconds")


def short(sha: str | bytes) -> str:
    """Write a commit's name as short as people do."""
    return (sha.decode() if isinstance(sha, bytes) else sha)[:8]


def size(bytes_: int | None) -> str:
    """Write a size with three digits at most; empty for an unknown one."""
    if bytes_ is None:
        return ""
    value, unit = float(bytes_), 0
    while value >= 1000 and unit < len(SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return (
        f"{value:.0f} {SIZES[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {SIZES[unit]}"
    )
