"""Which headers of a client reach a worker, and which the edge writes; told to people by `explain`.

Place:  [edge.forwarding] -> edge.routes; the edge's own tables are in edge/crates/core/src/headers
Rule:   pure; names in lower case; says the same as the edge does, in fewer families.
"""

from __future__ import annotations

from collections.abc import Mapping

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OWN_PREFIXES = ("mergepoint-", "x-forwarded")
OWN_NAMES = frozenset({"forwarded", "x-request-id", "traceparent"})
IDENTITY_PREFIXES = ("remote-", "ssl-", "x-remote-", "x-ssl-", "x-auth-request-", "x-client-cert")
IDENTITY_NAMES = frozenset(
    {"client-ip", "proxy", "true-client-ip", "x-auth-user", "x-client-ip", "x-real-ip"}
)
REWRITE_PREFIXES = ("x-accel-", "x-original-", "x-sendfile", "x-lighttpd-")
REWRITE_NAMES = frozenset({"x-rewrite-url", "x-script-name", "x-http-host-override"})


def removal_reason(name: str) -> str:
    """Return why a client's header does not reach a worker, or nothing when it does."""
    low = name.lower()
    if "_" in low:
        return "names with an underscore cannot be told from names with a hyphen"
    if low in HOP_BY_HOP:
        return "concerns this connection only"
    if low in OWN_NAMES or low.startswith(OWN_PREFIXES):
        return "set by the edge itself"
    if low in IDENTITY_NAMES or low.startswith(IDENTITY_PREFIXES):
        return "says who the client is, which no client may"
    if low in REWRITE_NAMES or low.startswith(REWRITE_PREFIXES):
        return "gives orders to a server behind it"
    return ""


def split_headers(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what passes, by name, and what is removed, by name with its reason."""
    passed, removed = {}, {}
    for name, value in headers.items():
        reason = removal_reason(name)
        if reason:
            removed[name] = reason
        else:
            passed[name] = value
    return passed, removed


def written_headers(scheme: str, host: str, port: int, mount: str) -> dict[str, str]:
    """Return what the edge writes; what only a real request knows stands in angle brackets."""
    written = {
        "Host": host if port in {80, 443} else f"{host}:{port}",
        "X-Request-Id": "<new for each request>",
        "traceparent": "<the client's, continued; else new>",
        "Forwarded": f'for=<client>;proto={scheme};host="{host}"',
        "X-Forwarded-For": "<client>",
        "X-Forwarded-Proto": scheme,
        "X-Forwarded-Host": host if port in {80, 443} else f"{host}:{port}",
        "X-Forwarded-Port": str(port),
    }
    if mount != "/":
        written["X-Forwarded-Prefix"] = mount
    return written
