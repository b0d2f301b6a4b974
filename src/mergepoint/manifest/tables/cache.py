"""``[cache]`` and ``cache`` of an app: answers that the edge keeps.

Place:  manifest.validate -> [manifest.tables.cache] -> manifest.tables.{app,manifest}
Rule:   shape and single values only; what a cache needs beside it is in manifest.checks.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from mergepoint.manifest.tables.amounts import Duration, DurationOrNever, Size, refused
from mergepoint.manifest.tables.table import Table, key

COOKIES_MAX = 16
BESIDE_MAX = 16
SHORT = ("auto", "http")

_COOKIE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}\Z")


class CacheTable(Table):
    """Room for kept answers, and how changes of databases are followed."""

    room: Size = key("Bytes all kept answers may take.", 256 << 20)
    answer_max: Size = key("Larger answers are not kept.", 8 << 20)
    lease_s: Duration = key(
        "How long a reading of a database's changes counts; also how long a writer waits at most.",
        2.0,
    )
    poll_s: Duration = key("Between two readings while kept answers are asked for.", 0.02)
    call_s: Duration = key("How long a request waits for a reading when the last is too old.", 0.25)
    expose: bool = key("Tell clients the Cache-Groups of an answer.", False)


def _cookie(text: str) -> str:
    if not _COOKIE.match(text):
        raise refused("is not the name of a cookie", 'write a name such as "theme"')
    return text


def _server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not text.startswith("/") and not (host and colon and port.isdecimal()):
        raise refused("is not a server", 'write "127.0.0.1:6379", or the path of a socket')
    return text


class AppCacheTable(Table):
    """What of an app's answers is kept, and for whom."""

    mode: Literal["auto", "http"] = key(
        "auto keeps answers made from named data without being told so; http only what says so.",
        "auto",
    )
    scope: Literal["anonymous", "roles", "subject"] = key(
        "For whom answers are kept: anonymous visitors, each set of roles, or each person, too.",
        "anonymous",
    )
    hold: Literal["strict", "session", "none"] = key(
        "What the answer to a write waits for: every edge, the writer's own, or nothing.", "strict"
    )
    ttl_s: Duration = key("How long an answer lives that does not say so itself.", 3600.0)
    stale_s: DurationOrNever = key(
        "How long an answer that is too old may stand in for an error.", 0.0
    )
    fragments: Literal[False] = key("Pages put together at the edge; not offered yet.", False)
    cookies: list[Annotated[str, AfterValidator(_cookie)]] = key(
        "Cookies that choose between answers; any other cookie goes past the cache.",
        [],
        max_length=COOKIES_MAX,
    )
    beside: list[Annotated[str, AfterValidator(_server)]] = key(
        "Servers the app is connected to whose data is on no page, host:port or the path of a "
        "socket; a connection to any other makes its answers unknown.",
        [],
        max_length=BESIDE_MAX,
    )


def _short(value: Any) -> Any:
    if isinstance(value, str):
        if value not in SHORT:
            raise refused("is not a kind of cache", 'write "auto" or "http", or a table')
        return {"mode": value}
    if not isinstance(value, dict):
        raise refused("is not a kind of cache", 'write "auto" or "http", or a table')
    return value


AppCacheKey = Annotated[
    AppCacheTable,
    BeforeValidator(_short, json_schema_input_type=AppCacheTable | Literal["auto", "http"]),
]
