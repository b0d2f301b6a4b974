"""The names of headers by who may set them: the same tables as the edge has.

Place:  [core.headers] -> edge.forwarding, manifest.checks
Rule:   names in lower case; tests/golden/reserved_headers.json holds both sides to one list.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""Meant for one connection only."""


@dataclass(frozen=True, slots=True)
class Family:
    """Names and beginnings of names that no client may set, for one reason."""

    reason: str
    names: frozenset[str]
    prefixes: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Tell whether a name in lower case belongs here."""
        return name in self.names or name.startswith(self.prefixes)


FORWARDING = Family(
    "set by the edge itself",
    frozenset({"forwarded", "forwarded-for"}),
    ("mergepoint-", "x-forwarded"),
)
ADDRESSES = Family(
    "says from where the client comes, which no client may",
    frozenset(
        {
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "cf-pseudo-ipv4",
            "client-ip",
            "fastly-client-ip",
            "fly-client-ip",
            "true-client-ip",
            "x-azure-clientip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-proxyuser-ip",
            "x-real-ip",
            "x-real-port",
        }
    ),
)
PEOPLE = Family(
    "says who the client is, which no client may",
    frozenset(
        {
            "auth-user",
            "client-cert",
            "client-cert-chain",
            "client-verify",
            "x-arr-clientcert",
            "x-auth-user",
            "x-authenticated-user",
            "x-authenticated-userid",
            "x-client-dn",
            "x-client-verify",
            "x-credential-username",
            "x-tls-client-cert",
            "x-user",
            "x-user-cert",
            "x-user-dn",
            "x-webauth-user",
        }
    ),
    (
        "cf-access-",
        "remote-",
        "ssl-",
        "wl-proxy-",
        "x-amzn-oidc-",
        "x-appengine-",
        "x-auth-request-",
        "x-client-cert",
        "x-goog-authenticated-user-",
        "x-goog-iap-",
        "x-ms-client-principal",
        "x-remote-",
        "x-ssl-",
        "x-webauth-",
    ),
)
ORDERS = Family(
    "gives orders to a server behind it",
    frozenset(
        {
            "cf-visitor",
            "front-end-https",
            "proxy",
            "script-name",
            "url-scheme",
            "x-host",
            "x-http-host-override",
            "x-http-scheme",
            "x-mount",
            "x-request-uri",
            "x-rewrite-url",
            "x-scheme",
            "x-script-name",
            "x-url-scheme",
        }
    ),
    ("x-accel-", "x-envoy-", "x-lighttpd-", "x-original-", "x-sendfile"),
)
RESERVED = (FORWARDING, ADDRESSES, PEOPLE, ORDERS)
REWRITTEN = frozenset({"traceparent", "x-request-id"})
"""Taken from a client in part or not at all; what a worker reads of them is the edge's own."""
