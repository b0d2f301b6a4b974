"""From the tables of the bus, subscriptions and schedules to what is in force.

Place:  manifest.validate -> [manifest.resolve_bus] -> manifest.resolve
Rule:   fills in defaults, looks variables up in what it is handed; judges nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mergepoint.manifest.messages import Bus, EngineUrl, Schedule, Subscription
from mergepoint.manifest.origin import Origin
from mergepoint.manifest.resolve_app import placed
from mergepoint.manifest.tables.bus import BusTable, ScheduleTable, SubscriptionTable

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
QUEUE_PREFIX = "mp.to"
"""Queues of subscriptions begin so: no app can choose such a name."""
WILDCARDS = {"*": "any", ">": "all"}
POST_CHARACTERS = 8

OriginAt = Callable[[int], Origin]


def resolve_bus(
    table: BusTable,
    directory: Path,
    variables: Mapping[str, str],
    origins: Mapping[str, Origin],
    origin: Origin,
) -> Bus:
    """Return the bus as it will be; `variables` is the environment secrets are taken from."""
    certificate, key, token_file = (
        placed(directory, written) if written else None
        for written in (table.certificate, table.key, table.token_file)
    )
    return Bus(
        url=engine_url(table.url, variables),
        serializer=table.serializer,
        durable=table.durability == "durable",
        message_bytes_max=table.message_bytes_max,
        dedupe_s=table.dedupe_s,
        retention_s=table.retention_s,
        attempts_max=table.attempts_max,
        lease_s=table.lease_s,
        call_s=table.call_s,
        heartbeat_s=table.heartbeat_s,
        queue_messages_max=table.queue_messages_max,
        listen=table.listen or "",
        certificate=certificate,
        key=key,
        token_file=token_file,
        http=table.http,
        outboxes=tuple(outbox_url(written, directory, variables) for written in table.outboxes),
        origin=origin,
        origins=origins,
    )


def engine_url(written: str, variables: Mapping[str, str]) -> EngineUrl:
    """Return the URL with every ``${NAME}`` filled in; a variable that is not set gives nothing."""
    missing = tuple(name for name in VARIABLE.findall(written) if not variables.get(name))
    value = VARIABLE.sub(lambda found: variables.get(found[1], ""), written)
    return EngineUrl(value, written, missing)


def outbox_url(written: str, directory: Path, variables: Mapping[str, str]) -> EngineUrl:
    """Return a database's URL with its secrets; a file beside the manifest becomes absolute."""
    found = engine_url(written, variables)
    if not found.value.startswith("sqlite:///") or found.value.startswith("sqlite:////"):
        return found
    path = placed(directory, found.value.removeprefix("sqlite:///"))
    return replace(found, value=f"sqlite:///{path}")


def resolve_subscriptions(
    tables: Mapping[int, SubscriptionTable], origin_at: OriginAt
) -> tuple[Subscription, ...]:
    """Return every subscription with the queue its messages wait in."""
    return tuple(
        Subscription(
            queue=subscription_queue(table.app, table.on, table.post),
            on=table.on,
            app=table.app,
            post=table.post,
            attempts_max=table.attempts_max,
            timeout_s=table.timeout_s,
            backoff_s=table.backoff_s,
            backoff_s_max=max(table.backoff_s, table.backoff_s_max),
            concurrency=table.concurrency,
            origin=origin_at(position),
        )
        for position, table in tables.items()
    )


def subscription_queue(app: str, on: str, post: str) -> str:
    """Return the queue's name: for people to read, and the same as long as the three are."""
    words = "-".join(WILDCARDS.get(word, word) for word in on.split("."))
    mark = hashlib.sha256(f"{on} {post}".encode()).hexdigest()[:POST_CHARACTERS]
    return f"{QUEUE_PREFIX}.{app}.{words[:100]}-{mark}"


def resolve_schedules(
    tables: Mapping[int, ScheduleTable], modules: Mapping[str, str], origin_at: OriginAt
) -> tuple[Schedule, ...]:
    """Return every schedule; `modules` are those that declare tasks, by app."""
    return tuple(
        Schedule(
            task=table.task,
            app=table.app or app_of_task(table.task, modules),
            cron=table.cron,
            timezone=table.timezone,
            missed=table.missed,
            origin=origin_at(position),
        )
        for position, table in tables.items()
    )


def app_of_task(task: str, modules: Mapping[str, str]) -> str:
    """Return the app a task belongs to by its name; empty when several may be meant."""
    first = task.partition(".")[0]
    if first in modules:
        return first
    named = [app for app, module in modules.items() if task.startswith(f"{module}.")]
    top = [app for app, module in modules.items() if module.partition(".")[0] == first]
    for found in (named, top, list(modules)):
        if len(found) == 1:
            return found[0]
    return ""
