"""Turn a call into a task that is recorded, now or within the app's transaction.

Place:  tasks.declare -> [tasks.asking] -> tasks.sending, tasks.outbox
Rule:   the arguments are checked and written before anything is sent.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mergepoint.tasks.arguments import bound, encode, key_of, unique_key_of
from mergepoint.tasks.declaration import Declaration
from mergepoint.tasks.errors import ArgumentsRefused
from mergepoint.tasks.handles import Handle
from mergepoint.tasks.home import Home
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.messages import INBOX
from mergepoint.tasks.sending import inbox_put, send
from mergepoint.tasks.spec import Options, Spec, Unique

if TYPE_CHECKING:
    from mergepoint.tasks.outbox.contract import Joined


@dataclass(frozen=True)
class Asking:
    """A task with how it is wanted this time. Any: keys and connections have many types."""

    home: Home
    app: str
    declaration: Declaration
    signature: inspect.Signature
    when: Any = None
    once_key: str = ""
    changes: Mapping[str, Any] = None  # type: ignore[assignment]
    connection: Any = None

    def at(self, when: Any) -> Asking:
        """Want it later: seconds, timedelta, or an aware datetime."""
        return replace(self, when=when)

    def once(self, key: str) -> Asking:
        """Want it only if no other of this key is open."""
        if not key:
            raise ArgumentsRefused(f"{self.declaration.name}: once() needs a key")
        return replace(self, once_key=key)

    def with_options(self, **changes: Any) -> Asking:
        """Want it otherwise: `at`, `once`, `connection`, or fields of `Spec` and `Options`."""
        special = {
            name: changes.pop(name) for name in ("at", "once", "connection") & changes.keys()
        }
        known = Spec.__dataclass_fields__.keys() | Options.__dataclass_fields__.keys()
        unknown = changes.keys() - known
        if unknown:
            raise ArgumentsRefused(f"{self.declaration.name}: no option {', '.join(unknown)}")
        return replace(
            self,
            when=special.get("at", self.when),
            once_key=special.get("once", self.once_key),
            connection=special.get("connection", self.connection),
            changes={**(self.changes or {}), **changes},
        )

    def enqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Ask for it from blocking code."""
        spec = self.spec(args, kwargs)
        joined = _transaction(self.connection)
        if joined is not None:
            (told,) = joined.put(INBOX, [inbox_put(spec, self.home.address)])
            return Handle(self.home, told.id, duplicate=told.duplicate)
        placed = self.home.wait(lambda: send(self.home, [spec]))
        return Handle(self.home, placed[0].id, duplicate=placed[0].id != spec.id)

    async def aenqueue(self, *args: Any, **kwargs: Any) -> Handle:
        """Ask for it from a coroutine."""
        spec = self.spec(args, kwargs)
        joined = _transaction(self.connection)
        if joined is not None:
            (told,) = await joined.aput(INBOX, [inbox_put(spec, self.home.address)])
            return Handle(self.home, told.id, duplicate=told.duplicate)
        placed = await self.home.join(lambda: send(self.home, [spec]))
        return Handle(self.home, placed[0].id, duplicate=placed[0].id != spec.id)

    def spec(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, chained: int = 0) -> Spec:
        """Return what is recorded; `chained`: how many results come before the arguments."""
        what, home = self.declaration, self.home
        filled = [None] * chained + list(args)
        made = bound(what.name, self.signature, filled, kwargs)
        payload, content_type = encode(what.name, home.codec, args, kwargs)
        now = home.clock.unix_s()
        unique = what.unique or Unique()
        unique_key = ""
        if self.once_key:
            unique_key = f"{what.name}:{self.once_key}"
        elif what.unique is not None:
            unique_key = unique_key_of(what.name, what.unique.by, made, home.codec)
        spec = Spec(
            id=new_id(now),
            name=what.name,
            queue=what.queue,
            payload=payload,
            content_type=content_type,
            priority=what.priority,
            key=key_of(what.name, what.key, made),
            unique_key=unique_key,
            unique=unique,
            not_before=_moment(what.name, self.when, now),
            options=what.options,
            app=self.app,
            context=dict(home.context()),
        )
        return _changed(spec, self.changes or {})


@dataclass(frozen=True)
class Call:
    """A call that is not asked for yet: a link of a chain, a member of a group."""

    asking: Asking
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def spec(self, *, chained: int = 0) -> Spec:
        """Return what is recorded for it."""
        return self.asking.spec(self.args, self.kwargs, chained=chained)


def _changed(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    of_spec = {name: value for name, value in changes.items() if hasattr(spec, name)}
    of_options = {name: value for name, value in changes.items() if name not in of_spec}
    return replace(spec, **of_spec, options=replace(spec.options, **of_options))


def _moment(name: str, when: Any, now: float) -> float:
    if when is None:
        return 0.0
    if isinstance(when, timedelta):
        return now + when.total_seconds()
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ArgumentsRefused(f"{name}: {when} says no time zone; which of them is meant?")
        return when.timestamp()
    if isinstance(when, int | float) and not isinstance(when, bool):
        return now + when
    raise ArgumentsRefused(f"{name}: {when!r} is no time; seconds, a timedelta or a datetime")


def _transaction(connection: Any) -> Joined | None:
    """Return the app's open transaction; the outbox finds it in this thread and context."""
    outbox = importlib.import_module("mergepoint.tasks.outbox")
    join = getattr(outbox, "join", None)
    found: Joined | None = None if join is None else join(connection)
    return found
