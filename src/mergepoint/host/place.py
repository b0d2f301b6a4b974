"""What the edge says about a request, put where WSGI and ASGI frameworks look for it.

Place:  host.wsgi, host.asgi -> [host.place]
Rule:   pure; the headers are trusted because only the edge can reach the worker's socket.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

PROBE_WANTED = "ready"
DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def split_path(path: str, prefix: str) -> tuple[str, str] | None:
    """Return mount and rest when `path` lies under `prefix` on whole segments, else None."""
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    if rest and not rest.startswith("/"):
        return None
    return prefix, rest


def decoded(prefix: str, charset: str) -> str:
    """Return a mount as servers give paths: unquoted, without a final slash."""
    if "%" in prefix:
        prefix = unquote_to_bytes(prefix).decode(charset, "replace")
    return prefix.rstrip("/")


def split_host(host: str, scheme: str) -> tuple[str, str]:
    """Return name and port of a Host value; the scheme's own port when none is written."""
    if ":" in host:
        name, _, port = host.rpartition(":")
        if port.isdigit():
            return name, port
    return host, DEFAULT_PORTS.get(scheme, "80")


def place_wsgi(environ: dict[str, Any], splits_prefix: bool) -> None:
    """Set SCRIPT_NAME, PATH_INFO, scheme, client, server and the mergepoint keys in place."""
    get = environ.get
    prefix = get("HTTP_X_FORWARDED_PREFIX")
    if prefix and splits_prefix:
        if "%" in prefix or prefix[-1] == "/":
            prefix = decoded(prefix, "latin-1")
        path = environ["PATH_INFO"]
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            if not rest or rest[0] == "/":
                environ["SCRIPT_NAME"] = prefix
                environ["PATH_INFO"] = rest
    scheme = get("HTTP_X_FORWARDED_PROTO")
    if scheme:
        environ["wsgi.url_scheme"] = scheme
        if scheme == "https":
            environ["HTTPS"] = "on"
    client = get("HTTP_X_FORWARDED_FOR")
    if client:
        environ["REMOTE_ADDR"] = client.split(",", 1)[0].strip() if "," in client else client
    host = get("HTTP_X_FORWARDED_HOST") or get("HTTP_HOST")
    if host:
        environ["HTTP_HOST"] = host
        name, port = split_host(host, environ["wsgi.url_scheme"])
        environ["SERVER_NAME"] = name
        environ["SERVER_PORT"] = get("HTTP_X_FORWARDED_PORT") or port
    environ["mergepoint.request_id"] = get("HTTP_X_REQUEST_ID", "")
    environ["mergepoint.traceparent"] = get("HTTP_TRACEPARENT", "")
