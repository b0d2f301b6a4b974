"""``[bus]``, ``[[subscriptions]]`` and ``[[schedules]]``: messages between apps, and the clock.

Place:  manifest.validate -> [manifest.tables.bus] -> manifest.tables.manifest
Rule:   shape and single values only; a password of an engine is the name of a variable.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from mergepoint.manifest.messages import HUB, REMOTE_HUB
from mergepoint.manifest.tables.amounts import Duration, DurationOrNever, Size, refused, size_text
from mergepoint.manifest.tables.forms import database_url, parse_path
from mergepoint.manifest.tables.table import Table, key

SUBSCRIPTIONS_MAX = 500
SCHEDULES_MAX = 1000
ATTEMPTS_MAX = 1000
NAME_CHARACTERS_MAX = 200
MESSAGE_BYTES_MAX = 64 << 20
SCHEMES = (
    "postgresql", "postgres", "amqp", "amqps", "redis", "rediss", "nats", "zmq+tcp", "zmq+ipc",
    "xmpp", REMOTE_HUB,
)  # fmt: skip
URL_FIX = 'write "hub", or such as "amqp://site:${AMQP_PASSWORD}@rabbit.example.org/"'

_SEGMENT = r"[a-zA-Z0-9_-]+"
NAME = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*\Z")
PATTERN = re.compile(rf"(?:>|(?:\*|{_SEGMENT})(?:\.(?:\*|{_SEGMENT}))*(?:\.>)?)\Z")
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})\Z")


def _url(text: str) -> str:
    if text == HUB or _VARIABLE.match(text):
        return text  # what a variable holds is looked at once it is known
    scheme, separator, _ = text.partition(":")
    if scheme == "memory":
        raise refused("is inside one process, and a site has many", 'write "hub"')
    if not separator or scheme not in SCHEMES:
        raise refused("is not an engine of the bus", URL_FIX)
    if "://" not in text:
        raise refused("is not the URL of an engine", URL_FIX)
    return text


def _outbox(text: str) -> str:
    return database_url(text, "is not a database with an outbox")


def _pattern(text: str) -> str:
    if not PATTERN.match(text) or len(text) > NAME_CHARACTERS_MAX:
        raise refused(
            "is not a pattern of topics",
            'write words joined by dots; * is one word, > at the end one or more: "tickets.*"',
        )
    return text


def queue_name(text: str) -> str:
    """Check the name of a queue and return it as written."""
    if not NAME.match(text) or len(text) > NAME_CHARACTERS_MAX:
        raise refused("is not the name of a queue", 'write words joined by dots, such as "mail"')
    if text.startswith("mp."):
        raise refused("begins with mp., which names are Mergepoint's own", "choose another name")
    return text


def task_name(text: str) -> str:
    """Check the name of a task and return it as written."""
    if not NAME.match(text) or len(text) > NAME_CHARACTERS_MAX:
        raise refused("is not the name of a task", 'write such as "tickets.nightly"')
    return text


def module_name(text: str) -> str:
    """Check a dotted module and return it as written."""
    if not _MODULE.match(text):
        fix = 'write a module such as "tracker.jobs", without a file ending or a colon'
        raise refused("is not a Python module", fix)
    return text


def _post(text: str) -> str:
    parse_path(text)
    return text


def _cron(text: str) -> str:
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise refused(
            f"is not a cron expression: {str(error).lower()}",
            'write minute, hour, day, month and weekday, such as "15 3 * * *"',
        ) from None
    except StopIteration:
        raise refused("never comes: there is no such day", "correct day and month") from None
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refused("is not a time zone", 'write such as "Europe/Berlin" or "UTC"') from None
    return text


def _listen(text: str) -> str:
    found = _ADDRESS.match(text)
    if found is None or not 0 < int(found[1]) < 65536:
        raise refused("is not an address to listen on", 'write such as "0.0.0.0:7400"')
    return text


def _message_size(count: int) -> int:
    if count > MESSAGE_BYTES_MAX:
        most = size_text(MESSAGE_BYTES_MAX)
        raise refused(f"must be at most {most}", "send large data as a file and its name")
    return count


Attempts = Annotated[int, Field(ge=1, le=ATTEMPTS_MAX)]
QueueName = Annotated[str, AfterValidator(queue_name)]
Module = Annotated[str, AfterValidator(module_name)]


class BusTable(Table):
    """Messages between apps; the table switches the bus on, even an empty one."""

    url: Annotated[str, AfterValidator(_url)] = key(
        'Engine: "hub" is part of Mergepoint; or the URL of PostgreSQL, RabbitMQ, Redis, NATS, '
        "ZeroMQ or XMPP, with ${NAME} for secrets from the environment.",
        HUB,
    )
    serializer: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = key(
        "How values become bytes: json, msgpack, signed, or one that a package brings.", "json"
    )
    durability: Literal["durable", "fast"] = key(
        "Of the hub: durable survives a power cut; fast survives kill -9 alone.", "durable"
    )
    message_bytes_max: Annotated[Size, AfterValidator(_message_size)] = key(
        "Largest message.", 1 << 20
    )
    dedupe_s: DurationOrNever = key("Seconds within which a message id is accepted once.", 3600.0)
    retention_s: Duration = key("Seconds dead letters are kept.", 14 * 86400.0)
    attempts_max: Attempts = key("Deliveries after which a message is a dead letter.", 5)
    lease_s: Duration = key("Seconds a job belongs to who took it and gives no sign of life.", 15.0)
    call_s: Duration = key("Seconds one call to the engine may take.", 5.0)
    heartbeat_s: Duration = key(
        "Seconds between signs of life; two missing ones are a lost connection.", 2.0
    )
    queue_messages_max: Annotated[int, Field(ge=1, le=1_000_000_000)] = key(
        "Messages one queue holds; one more is refused.", 1_000_000
    )
    listen: Annotated[str, AfterValidator(_listen)] | None = key(
        "Address where the hub serves other machines, over TLS.", stands_for="this machine alone"
    )
    certificate: str | None = key(
        "File of the certificate (PEM) for `listen`.", stands_for="none", min_length=1
    )
    token_file: str | None = key(
        "File of the secret that other machines show, for `listen` and hub+tls://.",
        stands_for="none",
        min_length=1,
    )
    http: bool = key(
        "Whether programs in any language may publish over HTTP on this machine.", True
    )
    outboxes: Annotated[list[Annotated[str, AfterValidator(_outbox)]], Field(max_length=100)] = key(
        "Databases in which apps enqueue within their own transactions: sqlite:///file beside "
        "this manifest, sqlite:////absolute, or postgresql://..., with ${NAME} for secrets.",
        [],
    )
    key: str | None = key("File of the certificate's key (PEM).", stands_for="none", min_length=1)


class SubscriptionTable(Table):
    """Messages that are posted to an app, which need not know of the bus."""

    on: Annotated[str, AfterValidator(_pattern)] = key(
        'Topics: "tickets.created", "tickets.*" or "tickets.>".', ...
    )
    app: str = key("App they are posted to.", ...)
    post: Annotated[str, AfterValidator(_post)] = key("Path below its mount.", ...)
    attempts_max: Attempts = key("Posts after which a message is a dead letter.", 10)
    timeout_s: Duration = key("Seconds the app gets to answer.", 30.0)
    backoff_s: Duration = key("Seconds before a message is posted again; doubles each time.", 1.0)
    backoff_s_max: Duration = key("Longest pause between two posts, in seconds.", 600.0)
    concurrency: Annotated[int, Field(ge=1, le=256)] = key("Posts to the app at a time.", 4)


class ScheduleTable(Table):
    """A task that is started by the clock."""

    task: Annotated[str, AfterValidator(task_name)] = key(
        'Task by its name, such as "tickets.nightly".', ...
    )
    cron: Annotated[str, AfterValidator(_cron)] = key(
        'When: minute, hour, day, month, weekday, such as "15 3 * * *".', ...
    )
    app: str | None = key(
        "App that declares it.",
        stands_for="the app or module the name begins with, else the only app with tasks",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = key("Time zone of `cron`.", "UTC")
    missed: Literal["skip", "one", "all"] = key(
        "What is made up for after times at which the site did not run: nothing, once, all.", "one"
    )
