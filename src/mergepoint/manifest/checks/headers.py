"""Which header names an app may choose for who comes.

Place:  manifest.checks.access -> [manifest.checks.headers]
Rule:   pure; refuses every name that already means something to a server or a browser.
"""

from __future__ import annotations

from mergepoint.core.headers import FORWARDING, HOP_BY_HOP, ORDERS, REWRITTEN

STANDARD = frozenset({"remote-user", "remote-name", "remote-email", "remote-groups"})
"""Sent to every app anyway."""
MEANINGFUL = frozenset(
    {
        "authorization",
        "cache-control",
        "cookie",
        "date",
        "dnt",
        "expect",
        "from",
        "host",
        "last-event-id",
        "link",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "set-cookie",
        "tracestate",
        "user-agent",
        "vary",
        "via",
    }
)
MEANINGFUL_PREFIXES = (
    "accept",
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "www-",
)
OTHER_NAME = "choose a name of the app's own, such as X-WebAuth-User"


def identity_header_fault(name: str) -> tuple[str, str] | None:
    """Return why a lower-case name cannot carry who comes, and the fix; None when it can."""
    if name in STANDARD:
        return "is sent to every app anyway", "remove it"
    if name in HOP_BY_HOP:
        return "concerns one connection and never reaches an app", OTHER_NAME
    if name in REWRITTEN or FORWARDING.holds(name):
        return "is set by the edge itself", OTHER_NAME
    if ORDERS.holds(name):
        return "is an order to servers", OTHER_NAME
    if name in MEANINGFUL or name.startswith(MEANINGFUL_PREFIXES):
        return "means something else in HTTP", OTHER_NAME
    return None
