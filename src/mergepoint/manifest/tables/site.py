"""``[site]``: the name, the listeners, TLS and the bounds of the front door.

Place:  manifest.validate -> [manifest.tables.site]
Rule:   shape and single values only; what needs two values or the disk is in manifest.checks.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from mergepoint.manifest.tables.amounts import Count, Duration, Size, refused
from mergepoint.manifest.tables.table import Table, key, listed

SITE_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
LISTENER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")


def _site_name(name: str) -> str:
    if not SITE_NAME.match(name):
        raise refused(
            "is not a site name",
            "use lower-case letters, digits and hyphens, a letter first, 40 at most",
        )
    return name


def _listener_name(name: str) -> str:
    if not LISTENER_NAME.match(name):
        raise refused(
            "is not a listener name",
            "use lower-case letters, digits and hyphens, a letter first, 32 at most",
        )
    return name


class ListenTable(Table):
    """One address the site listens on."""

    address: str = key(
        '"host:port", "[ipv6]:port", ":port" for every address, or "unix:/path"', ...
    )
    name: Annotated[str, AfterValidator(_listener_name)] | None = key(
        "Name in logs and metrics, and of the descriptor under systemd socket activation.",
        stands_for="http, https or admin",
    )
    tls: bool | None = key(
        "Speak TLS with the certificates of [site.tls].",
        stands_for="true on port 443 and for addresses written https://, else false",
    )
    proxy_protocol: bool = key(
        "Expect the PROXY protocol, version 1 or 2, from the addresses in trusted_proxies.", False
    )
    redirect_https: bool | None = key(
        "Send visitors to https:// (308), at the port of the first address that speaks TLS.",
        stands_for="true on port 80 where another address speaks TLS, else false",
    )
    admin: bool = key("Serve /livez, /readyz and /metrics here and nothing of the site.", False)


def _listen(value: Any) -> Any:
    """Bring every way of writing `listen` to a list of tables."""
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list):
        raise refused("is not an address", 'write "127.0.0.1:8000", a list of them, or tables')
    return [_listener(entry) for entry in value]


def _listener(entry: Any) -> Any:
    if not isinstance(entry, str):
        return entry
    for scheme, tls in (("http://", False), ("https://", True)):
        if entry.startswith(scheme):
            return {"address": entry.removeprefix(scheme).rstrip("/"), "tls": tls}
    return {"address": entry}


Listen = Annotated[
    list[ListenTable],
    BeforeValidator(_listen, json_schema_input_type=str | ListenTable | list[str | ListenTable]),
]


class CertificateTable(Table):
    """One certificate with its private key."""

    cert: str = key("PEM file with the certificate and its chain.", ..., min_length=1)
    key: str = key("PEM file with the private key; not readable by others.", ..., min_length=1)


class TlsTable(Table):
    """Certificates; which one serves is decided by the name the client asks for."""

    certificates: list[CertificateTable] = key(
        "Certificate and key files; the first also serves clients that name no host.", []
    )
    hsts_s: int = key(
        "Seconds for which browsers are told to come by https:// alone "
        "(Strict-Transport-Security); 31536000 is a year, 0 tells them nothing.",
        0,
        ge=0,
        le=4294967295,
    )


class FrontDoorTable(Table):
    """Bounds that hold for every client alike."""

    header_bytes_max: Size = key("Bytes of all request headers together.", 65536)
    headers_max: Count = key("Number of request headers.", 100)
    target_bytes_max: Size = key("Bytes of the request target (path and query).", 8192)
    header_timeout_s: Duration = key("Seconds a client may take to send its headers.", 10.0)
    idle_timeout_s: Duration = key("Seconds a kept-alive connection may stay silent.", 75.0)
    body_idle_timeout_s: Duration = key("Seconds a client may pause within a body.", 30.0)
    connections_max: Count = key("Open client connections.", 20000)
    h2_streams_max: Count = key("Concurrent streams of one HTTP/2 connection.", 100)
    drain_s: Duration = key("Seconds open requests get to finish when the site stops.", 30.0)


class SiteTable(Table):
    """The site as a whole."""

    name: Annotated[str, AfterValidator(_site_name)] | None = key(
        "Name in logs, metrics and process titles.", stands_for="the directory's name"
    )
    listen: Listen = key(
        "Where the site listens: an address, a list of addresses, or tables.",
        [ListenTable(address="127.0.0.1:8000")],
    )
    state_dir: str = key(
        "Directory for sockets, logs and run-time records.", ".mergepoint", min_length=1
    )
    trusted_proxies: Annotated[
        list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])
    ] = key(
        "Addresses or networks of proxies in front of the site whose X-Forwarded-* is believed.", []
    )
    access_log: Literal["json", "combined", "off"] | None = key(
        "Form of the access log.", stands_for="combined in development, json in production"
    )
    compression: bool = key("Compress answers that the apps left plain.", True)
    edge_threads: Annotated[int, "threads"] = key("Threads of the edge process.", 1, ge=1, le=256)
    memory: Size | None = key(
        'One memory budget over all workers, such as "2GiB"; scaling up stops here.',
        stands_for="no budget",
    )
    tls: TlsTable = key("Certificates.", TlsTable())
    limits: FrontDoorTable = key("Bounds of the front door.", FrontDoorTable())
