"""Which sessions and connections this thread and task has used, among those that are watched.

Place:  outbox.watching -> [outbox.noted] -> outbox.find
Rule:   remembers weakly, in a context variable; decides nothing about transactions.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

NOTED_MAX = 256
"""Sessions one context remembers; older ones are forgotten first."""


@dataclass(frozen=True)
class Owner:
    """A thread, and a task of its event loop if it runs one."""

    thread: int
    task: int

    @staticmethod
    def current() -> Owner:
        """Return who runs now."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        return Owner(threading.get_ident(), id(task) if task is not None else 0)


@dataclass(frozen=True)
class Noted:
    """Something that was used here, by whom, and what can tell more of it."""

    thing: Callable[[], Any]  # Any: sessions and connections of many libraries
    kind: str
    owner: Owner


_noted: ContextVar[tuple[Noted, ...]] = ContextVar("mergepoint_outbox_noted", default=())
_apart: ContextVar[bool] = ContextVar("mergepoint_outbox_apart", default=False)


def note(thing: object, kind: str) -> None:
    """Remember that the current thread and task has used this."""
    owner = Owner.current()
    kept = []
    for one in _noted.get():
        known = one.thing()
        if known is thing and one.owner == owner:
            return
        if known is not None:
            kept.append(one)
    _noted.set((*kept[-NOTED_MAX + 1 :], Noted(_reference(thing), kind, owner)))


def forget(thing: object) -> None:
    """Remember it no longer, in this context."""
    _noted.set(tuple(one for one in _noted.get() if one.thing() not in (None, thing)))


def has_noted() -> bool:
    """Tell whether anything was used in this context; cheap."""
    return bool(_noted.get())


def used() -> Iterator[tuple[Any, str, bool]]:
    """Yield everything used in this context: the thing, its kind, and whether it is ours."""
    owner = Owner.current()
    found: dict[int, tuple[Any, str, bool]] = {}
    for one in _noted.get():
        thing = one.thing()
        if thing is not None:
            ours = one.owner == owner or found.get(id(thing), (0, "", False))[2]
            found[id(thing)] = (thing, one.kind, ours)
    yield from found.values()


@contextmanager
def apart() -> Iterator[None]:
    """Enqueue outside every transaction within this block, whatever is open."""
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


def is_apart() -> bool:
    """Tell whether the block of `apart` is around us."""
    return _apart.get()


def _reference(thing: object) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:
        # sqlite3's connections cannot be referred to weakly; `NOTED_MAX` bounds what is kept.
        return lambda: thing
