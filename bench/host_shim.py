"""What the WSGI shim of a worker costs per request, without server and network.

Place:  python bench/host_shim.py -> mergepoint.host.wsgi
Rule:   the fastest of many short rounds, so that other work on the machine does not count.
"""

from __future__ import annotations

import timeit
from typing import Any

from mergepoint.host.wsgi import WsgiShim

ROUNDS = 40
CALLS = 5_000
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/tickets/a",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "site.example",
    "HTTP_X_FORWARDED_PREFIX": "/tickets",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_FOR": "203.0.113.9",
    "HTTP_X_FORWARDED_HOST": "site.example",
    "HTTP_X_FORWARDED_PORT": "443",
    "HTTP_X_REQUEST_ID": "request-1",
    "HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "2")]


def app(_: dict[str, Any], start_response: Any) -> list[bytes]:
    """The smallest app."""
    start_response("200 OK", HEADERS)
    return [b"ok"]


def start_response(status: str, headers: list[tuple[str, str]]) -> None:
    """The smallest server."""


def call_us(served: Any) -> float:
    """Return microseconds per call, environ included, of the fastest round."""
    seconds = timeit.repeat(
        lambda: served(dict(ENVIRON), start_response), number=CALLS, repeat=ROUNDS
    )
    return min(seconds) / CALLS * 1e6


if __name__ == "__main__":
    bare_us, shim_us = call_us(app), call_us(WsgiShim(app, True, set()))
    print(f"bare {bare_us:.2f} us, through the shim {shim_us:.2f} us", flush=True)
    print(f"the shim takes {shim_us - bare_us:.2f} us of a request")
