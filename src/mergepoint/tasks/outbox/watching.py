"""Watching what an app opens its transactions with, so that enqueuing can find them.

Place:  app, site.data -> [outbox.watching] -> outbox.noted
Rule:   listens and notes; changes nothing of how the app's sessions behave.
"""

from __future__ import annotations

import sqlite3
import sys
import weakref
from typing import Any

from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.noted import note

SESSION, CONNECTION, SQLITE, PSYCOPG = "session", "connection", "sqlite3", "psycopg"
_pools: weakref.WeakSet[Any] = weakref.WeakSet()
"""Connection pools of the engines that are watched: copies of an engine share its pool."""
_listening: list[bool] = []


def watch(thing: Any) -> None:  # Any: engines, factories and connections of many libraries
    """Let `join` find transactions of this from now on; a second call does nothing.

    `thing` is a SQLAlchemy Engine or AsyncEngine, a sessionmaker, async_sessionmaker, Session or
    scoped_session that has a database, or a psycopg or sqlite3 connection (found in the thread
    and task that says so here). Django needs no watching. Raises `OutboxRefused`.
    """
    if isinstance(thing, sqlite3.Connection):
        note(thing, SQLITE)
    elif is_psycopg(thing):
        note(thing, PSYCOPG)
    else:
        for engine in _engines(thing):
            _watch_engine(engine)


def is_watched(engine: Any) -> bool:
    """Tell whether this engine, or one that shares its pool, is watched."""
    return engine.pool in _pools


def is_psycopg(thing: object) -> bool:
    """Tell whether this is a connection of psycopg 3, of either kind."""
    psycopg = sys.modules.get("psycopg")
    if psycopg is None:
        return False
    return isinstance(thing, psycopg.Connection | psycopg.AsyncConnection)


def _engines(thing: Any) -> list[Any]:
    behind = getattr(thing, "sync_engine", thing)
    if hasattr(behind, "pool") and hasattr(behind, "dialect"):
        return [behind]
    factory = getattr(thing, "session_factory", thing)
    options = getattr(factory, "kw", None)
    if options is None:
        options = {"bind": getattr(thing, "bind", None)}
    binds = [options.get("bind"), *(options.get("binds") or {}).values()]
    found = [_engines(bind)[0] for bind in binds if bind is not None]
    if not found:
        raise OutboxRefused(
            f"{type(thing).__name__} names no database to watch",
            next="watch the engine: outbox.watch(create_engine(...))",
        )
    return found


def _watch_engine(engine: Any) -> None:
    from sqlalchemy import event

    engine = getattr(engine, "engine", engine)
    if engine.pool not in _pools:
        _pools.add(engine.pool)
        event.listen(engine, "begin", lambda connection: note(connection, CONNECTION))
    if not _listening:
        _listening.append(True)
        _listen_to_sessions()


def _listen_to_sessions() -> None:
    """Note every session where it begins and where it is used: that may be two places.

    A framework may begin a session in one context (a dependency in a thread pool) and hand it to
    a handler in another; what the handler does with it is what makes it the handler's.
    """
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    def begun(session: Any, transaction: Any) -> None:
        if transaction.parent is None:
            note(session, SESSION)

    event.listen(Session, "after_transaction_create", begun)
    event.listen(Session, "after_begin", lambda session, *_: note(session, SESSION))
    event.listen(Session, "transient_to_pending", lambda session, _: note(session, SESSION))
    event.listen(Session, "before_flush", lambda session, *_: note(session, SESSION))
    event.listen(Session, "do_orm_execute", lambda state: note(state.session, SESSION))
