"""Finding the app's open transaction, or refusing to guess which one is meant.

Place:  tasks -> [outbox.find] -> outbox.noted, outbox.joined_*
Rule:   joins exactly one transaction, none, or raises; never enqueues beside one by mistake.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mergepoint.bus.contract import Limits
from mergepoint.core.clock import Clock
from mergepoint.tasks.outbox import nudging
from mergepoint.tasks.outbox.contract import Joined, OutboxRefused
from mergepoint.tasks.outbox.joined_dbapi import (
    JoinedPsycopg,
    JoinedSqlite,
    check_psycopg,
    check_sqlite,
    psycopg_open,
    sqlite_open,
)
from mergepoint.tasks.outbox.noted import has_noted, is_apart, used
from mergepoint.tasks.outbox.site import Site
from mergepoint.tasks.outbox.watching import (
    CONNECTION,
    PSYCOPG,
    SESSION,
    SQLITE,
    is_psycopg,
    is_watched,
)

_site = [Site()]


@dataclass(frozen=True)
class _Found:
    joined: Joined
    ours: bool
    """Whether it is used by this thread and task, not only by one this context was copied from."""


def belong_to(*, bus_url: str, limits: Limits, clock: Clock, nudge: str = "") -> None:
    """Say which site's messages this process sends; `mergepoint.connect` does.

    `bus_url` is the engine's: a PostgreSQL transaction in that very database takes the message
    straight into the queue. `nudge` is the socket on which the relay is told of commits.
    """
    nudging.reach(nudge)
    _site[0] = replace(_site[0], bus_url=bus_url, limits=limits, clock=clock)


def join(explicit: object = None) -> Joined | None:
    """See `outbox.contract.Join`."""
    if explicit is None and is_apart():
        return None
    joined = _found() if explicit is None else _explicit(explicit)
    if joined is not None:
        nudging.arrange(joined)
    return joined


def _found() -> Joined | None:
    if not has_noted() and "django.db" not in sys.modules:
        return None  # the common case of an app without an outbox, at every message
    found = [*_of_sqlalchemy(), *_of_drivers(), *_of_django()]
    if not found:
        return None
    if len(found) > 1:
        names = " and ".join(one.joined.where for one in found)
        raise OutboxRefused(
            f"{len(found)} transactions are open: {names}",
            next="say which one: connection=..., or none: with outbox.apart()",
        )
    (one,) = found
    if not one.ours:
        raise OutboxRefused(
            f"{one.joined.where} has an open transaction that another thread or task began",
            next="enqueue where it is used, pass connection=..., or use outbox.apart()",
        )
    return one.joined


def through_table(joined: Joined) -> Joined:
    """Return the same transaction, so that also where it holds the queues the outbox is written.

    For topics: publishing counts every event in one row, which the app's transaction would keep
    from everybody else until it ends.
    """
    one: Any = joined
    changed: Joined = replace(one, site=replace(one.site, bus_url=""))
    return changed


def _explicit(thing: object) -> Joined:
    site = _site[0]
    if isinstance(thing, sqlite3.Connection):
        check_sqlite(thing)
        return JoinedSqlite(thing, site)
    if is_psycopg(thing):
        check_psycopg(thing)
        return JoinedPsycopg(thing, site, _is_async(thing))
    if "sqlalchemy.orm" in sys.modules:
        from mergepoint.tasks.outbox import joined_sqlalchemy as sqlalchemy

        target = sqlalchemy.plain(thing)
        if target is not None:
            return sqlalchemy.JoinedSqlalchemy(target, sqlalchemy.engine_of(target), site)
    if "django.db" in sys.modules:
        from mergepoint.tasks.outbox import joined_django as django

        connection = django.plain(thing)
        if connection is not None:
            django.check(connection)
            return django.JoinedDjango(connection, site)
    raise OutboxRefused(
        f"{type(thing).__name__} is no connection an outbox can join",
        next="a SQLAlchemy, Django, psycopg or sqlite3 connection or session",
    )


def _of_sqlalchemy() -> Iterator[_Found]:
    things = [one for one in used() if one[1] in (SESSION, CONNECTION)]
    if not things:
        return
    from mergepoint.tasks.outbox import joined_sqlalchemy as sqlalchemy

    sessions = []
    for thing, kind, ours in things:
        if kind == SESSION and sqlalchemy.is_open(thing):
            engine = sqlalchemy.engine_of(thing)
            if is_watched(engine):
                sessions.append(thing)
                yield _Found(sqlalchemy.JoinedSqlalchemy(thing, engine, _site[0]), ours)
    for thing, kind, ours in things:
        if kind != CONNECTION or not sqlalchemy.is_open(thing):
            continue
        if not any(sqlalchemy.is_same(session, thing) for session in sessions):
            yield _Found(sqlalchemy.JoinedSqlalchemy(thing, thing.engine, _site[0]), ours)


def _of_drivers() -> Iterator[_Found]:
    for thing, kind, ours in used():
        if kind == SQLITE and sqlite_open(thing):
            yield _Found(JoinedSqlite(thing, _site[0]), ours)
        elif kind == PSYCOPG and psycopg_open(thing):
            yield _Found(JoinedPsycopg(thing, _site[0], _is_async(thing)), ours)


def _of_django() -> Iterator[_Found]:
    if "django.db" not in sys.modules:
        return
    from django.conf import settings

    if not settings.configured:
        return
    from mergepoint.tasks.outbox import joined_django as django

    for connection in django.open_connections():
        yield _Found(django.JoinedDjango(connection, _site[0]), True)


def _is_async(connection: object) -> bool:
    return isinstance(connection, sys.modules["psycopg"].AsyncConnection)
