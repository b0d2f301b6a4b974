"""Header names by which a client might speak as the edge or as somebody else.

Place:  [spoofing] -> test_spoofing
Rule:   the list only grows.
"""

from __future__ import annotations

from itertools import product

FORWARDING = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
    "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme",
    "X-Real-IP", "X-Client-IP", "True-Client-IP", "Client-IP", "X-Cluster-Client-IP",
    "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-Script-Name", "Script-Name",
    "Front-End-Https", "Proxy",
)  # fmt: skip
IDENTITY = (
    "Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Remote-User",
    "X-Remote-Groups", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Request-Email",
    "X-Authenticated-User", "X-User", "Ssl-Client-Verify", "Ssl-Client-S-Dn", "X-SSL-Client-Cert",
    "X-Client-Cert", "Mergepoint-Identity", "Mergepoint-Probe", "Mergepoint-Anything",
)  # fmt: skip

VALUE = "spoofed-value"


def spellings(name: str) -> list[str]:
    """Return the ways a server may read as `name`: case and ``_`` for ``-``."""
    separators = product("-_", repeat=name.count("-"))
    forms = []
    for choice in separators:
        parts = name.split("-")
        text = parts[0] + "".join(s + p for s, p in zip(choice, parts[1:], strict=True))
        forms += [text, text.lower(), text.upper()]
    return sorted(set(forms))
