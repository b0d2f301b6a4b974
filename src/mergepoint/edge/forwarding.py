"""Which headers of a client reach a worker, and which the edge writes; told to people by `explain`.

Place:  core.headers -> [edge.forwarding] -> edge.routes
Rule:   pure; names in lower case; removes what the edge removes, which a golden file proves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mergepoint.core.headers import FORWARDING, HOP_BY_HOP, PEOPLE, RESERVED, REWRITTEN


def removal_reason(name: str) -> str:
    """Return why a client's header does not reach a worker, or nothing when it does."""
    low = name.lower()
    if "_" in low:
        return "names with an underscore cannot be told from names with a hyphen"
    if low in HOP_BY_HOP:
        return "concerns this connection only"
    if low in REWRITTEN:
        return FORWARDING.reason
    return next((family.reason for family in RESERVED if family.holds(low)), "")


def split_headers(
    headers: Mapping[str, str], own: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what passes, by name, and what is removed, by name with its reason.

    `own` are the lower-case names under which an app reads who comes.
    """
    passed, removed = {}, {}
    for name, value in headers.items():
        reason = PEOPLE.reason if name.lower() in own else removal_reason(name)
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
