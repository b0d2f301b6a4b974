"""Say for a URL which app answers, why, and what reaches its worker.

Place:  manifest.site -> [edge.routes] -> cli
Rule:   pure; the same rules as the edge's router, each with where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mergepoint.edge.access import Judged, judge_request
from mergepoint.edge.forwarding import split_headers, written_headers
from mergepoint.edge.matching import Route, host_matches, list_routes, path_matches
from mergepoint.manifest.site import App, BalanceBy, Kind, Origin, PrefixMode, Site

__all__ = ["Considered", "Explanation", "Route", "explain", "list_routes"]

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]")
_KEPT = "".join(map(chr, range(128)))
_REFUSED = (
    (re.compile(r"[\x00-\x20\x7f]|%[01][0-9A-F]|%7F"), "a space or a control character"),
    (re.compile(r"\\|%5C"), "a backslash"),
    (re.compile(r"%(?![0-9A-F]{2})"), "a percent sign without two hex digits"),
    (re.compile(r"(?:/|%2F)\.\.?(?=/|;|%3B|%2F|\Z)"), "a dot segment"),
    (re.compile(r"#"), "a fragment"),
)


@dataclass(frozen=True, slots=True)
class Considered:
    """One route, whether it was taken, and why or why not."""

    route: Route
    taken: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the edge does with one request; empty fields do not apply to the app's kind."""

    method: str
    scheme: str
    host: str
    path: str
    """In normal form: what the router compares."""
    query: str
    route: Route | None
    """None when nothing answers: 404."""
    considered: tuple[Considered, ...]
    """Every route in the order it was tried."""
    answer: str
    """One sentence: what happens."""
    worker_path: str = ""
    """The path on the request line the worker reads."""
    script_name: str = ""
    """SCRIPT_NAME or root_path, as the host shim sets it."""
    path_info: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the worker reads; angle brackets stand for what only a real request knows."""
    removed: Mapping[str, str] = field(default_factory=dict)
    """The client's headers that do not pass, with the reason."""
    limits: Mapping[str, str] = field(default_factory=dict)
    balance: str = ""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where the app's keys were written."""
    judged: Judged | None = None
    """Whether the visitor may send it; None without identity, and where nothing answers."""


def explain(
    site: Site,
    url: str,
    method: str,
    headers: Mapping[str, str],
    claims: Mapping[str, Any] | None = None,
) -> Explanation:
    """Return what happens to `method` on `url` with the client's `headers`.

    `url` may be a path; then the host is that of the Host header, else localhost. `claims` are
    those of the visitor's session; None is nobody. Raise ValueError with a reason when the edge
    would answer 400 to such a target.
    """
    scheme, host, port, path, query = _parts(site, url, headers)
    considered = _considered(site, host, path)
    taken = next((rule.route for rule in considered if rule.taken), None)
    if taken is None:
        answer = f"404: no route answers for {host}{path}"
        return Explanation(method, scheme, host, path, query, None, considered, answer)
    app = site.apps[taken.app]
    below = path.removeprefix(taken.path) if taken.path != "/" else path
    target = f"{path}?{query}" if query else path
    judged = judge_request(site, app, below, method, claims, target)
    refused = judged.answer if judged else ""
    passes = _has_worker(app) and not refused
    reached = _reached(app, taken, path) if passes else ("", "", "")
    passed, removed = split_headers(headers, app.access.headers if app.access else ())
    passed = {name: value for name, value in passed.items() if name.lower() != "host"}
    written = written_headers(scheme, host, port, _told_mount(app, taken)) if passes else {}
    who = judged.headers or {} if judged else {}
    return Explanation(
        method,
        scheme,
        host,
        path,
        query,
        taken,
        considered,
        refused or _answer(app, taken, path, method, query),
        *reached,
        headers={**passed, **written, **who} if passes else {},
        removed=removed,
        limits=_limits(site, app),
        balance=_balance(app) if passes else "",
        origins=app.origins,
        judged=judged,
    )


def _parts(site: Site, url: str, headers: Mapping[str, str]) -> tuple[str, str, int, str, str]:
    """Return scheme, host, port, normal path and query of the request."""
    listener = next((listener for listener in site.listeners if not listener.admin), None)
    own_scheme = "https" if listener is not None and listener.tls else "http"
    if "://" not in url:
        given = {name.lower(): value for name, value in headers.items()}.get("host", "localhost")
        url = f"{own_scheme}://{given}/{url.removeprefix('/')}"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = parts.hostname.rstrip(".").lower()
    host = f"[{name}]" if ":" in name else name
    return parts.scheme, host, port, normal_path(parts.path or "/"), parts.query


def normal_path(raw: str) -> str:
    """Return the path as the router compares it; raise ValueError for what the edge answers 400.

    Characters outside ASCII are escaped first, as every browser does.
    """
    path = _ESCAPE.sub(_unescaped, quote(raw, safe=_KEPT))
    if not path.startswith("/"):
        raise ValueError("400: the path does not begin with a slash")
    for pattern, what in _REFUSED:
        if pattern.search(path):
            raise ValueError(f"400: the path holds {what}")
    return path


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if _PLAIN.match(character) else match[0].upper()


def _considered(site: Site, host: str, path: str) -> tuple[Considered, ...]:
    """Judge every route: the best host first, and only within it the longest path."""
    routes = list_routes(site)
    best = next((route.host for route in routes if host_matches(route.host, host)), None)
    taken: Route | None = None
    judged = []
    for route in routes:
        fits_path = path_matches(route.path, path)
        if not host_matches(route.host, host):
            reason = f"host is {host}"
        elif route.host != best:
            reason = f"{best} is the closer host, and a host's own routes decide"
        elif not fits_path:
            reason = f"{path} is not below {route.path}"
        elif taken is not None:
            reason = f"{taken.path} is longer"
        else:
            taken, reason = route, "the closest host, and its longest path that fits"
        judged.append(Considered(route, route is taken, reason))
    return tuple(judged)


def _has_worker(app: App) -> bool:
    return app.kind not in {Kind.STATIC, Kind.REDIRECT}


def _told_mount(app: App, route: Route) -> str:
    """Return the mount that X-Forwarded-Prefix names: none for an app that knows its own."""
    return "/" if app.prefix is PrefixMode.KEEP else route.path


def _reached(app: App, route: Route, path: str) -> tuple[str, str, str]:
    """Return the path the worker reads, and SCRIPT_NAME and PATH_INFO of Python workers."""
    mount = "" if route.path == "/" else route.path
    below = path.removeprefix(mount)
    if app.prefix is PrefixMode.STRIP:
        return below or "/", "", below or "/"
    if app.prefix is PrefixMode.HOST:
        return path, mount, unquote(below)
    return path, "", path


def _answer(app: App, route: Route, path: str, method: str, query: str) -> str:
    mount = "" if route.path == "/" else route.path
    below = path.removeprefix(mount)
    if app.static is not None:
        return f"a file below {app.static.root}, served by the edge"
    if app.redirect is not None:
        to = app.redirect.to
        if app.redirect.keep_path:
            to = to.rstrip("/") + (below or "") + (f"?{query}" if query else "")
        return f"{app.redirect.status} to {to}"
    if app.prefix is PrefixMode.STRIP and mount and not below and method in {"GET", "HEAD"}:
        return f"308 to {mount}/, so that relative links work"
    if app.kind is Kind.HTTP:
        return f"passed on to {app.target}"
    count = app.processes
    pool = f"{count.start}" if count.min == count.max else f"{count.min} to {count.max}"
    return f"passed on to one of {pool} process{'es' if pool != '1' else ''} of {app.name}"


def _limits(site: Site, app: App) -> dict[str, str]:
    limits = {"request headers": f"{site.edge_limits.header_bytes_max} bytes"}
    if not _has_worker(app):
        return limits
    body = "no limit" if app.body_bytes_max is None else f"{app.body_bytes_max} bytes"
    return limits | {
        "request body": body,
        "time to the response head": f"{app.timeouts.request_s:g} s, then 504",
        "at work at once": f"{app.concurrency} per process",
        "waiting": f"{app.queue.length_max} for {app.queue.wait_s:g} s at most, then 503",
    }


def _balance(app: App) -> str:
    balance = app.balance
    said = {
        BalanceBy.LEAST: "the process with the fewest requests at work",
        BalanceBy.PATH: f"by the first {balance.segments} segment(s) of the path below the mount",
        BalanceBy.HEADER: f"by the header {balance.name}",
        BalanceBy.COOKIE: f"by the cookie {balance.name}",
        BalanceBy.STICKY: "the process the visitor had before, by a signed cookie",
    }
    return said[balance.by]
