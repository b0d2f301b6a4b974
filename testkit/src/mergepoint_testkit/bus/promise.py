"""The list of all promises, and how one is put to the test.

Place:  tests/<engine> -> [bus.promise] -> the modules of promises
Rule:   a promise is an async function of a `Stand`; its name is the promise.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mergepoint.bus.capabilities import has
from mergepoint_testkit.bus.source import EngineSource
from mergepoint_testkit.bus.stand import Stand

THEMES = (
    "state",
    "topics",
    "last",
    "queues",
    "putting",
    "leases",
    "order",
    "dead_letters",
    "browse",
    "bindings",
    "requests",
    "presence",
    "limits",
    "floods",
)
APART = ("outages",)
"""Themes that need more of a source, and are asked for by name."""
Check = Callable[[Stand], Awaitable[None]]


@dataclass(frozen=True)
class Promise:
    """One thing an engine does, or refuses to be asked for."""

    name: str
    check: Check
    needs: tuple[str, ...] = ()
    """Capabilities, by their names in `mergepoint.bus.capabilities.WHO_CAN`."""
    kills: bool = False
    """Needs a source that can kill."""
    proxied: bool = False
    """Needs a source with a proxy before its broker."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Fields of `Limits` that differ from the source's, for the broker and every connection."""

    def __str__(self) -> str:
        return self.name


_KNOWN: dict[str, Promise] = {}


def promise(
    *needs: str, kills: bool = False, proxied: bool = False, **limits: float
) -> Callable[[Check], Check]:
    """Add the function to the suite, under its module's and its own name."""

    def add(check: Check) -> Check:
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        _KNOWN[name] = Promise(name, check, needs, kills, proxied, limits)
        return check

    return add


def promises(*themes: str) -> list[Promise]:
    """Return every promise, or those of some themes, in the order of the files."""
    for theme in (*THEMES, *APART):
        importlib.import_module(f"mergepoint_testkit.bus.{theme}")
    wanted = themes or THEMES
    return [kept for kept in _KNOWN.values() if kept.name.partition(".")[0] in wanted]


def keep(promise: Promise, source: EngineSource) -> None:
    """Put one promise to the test; fail, or skip where the source cannot kill."""
    if promise.kills and not source.can_kill:
        pytest.skip("this source cannot kill a connection")
    if promise.proxied and not source.has_proxy:
        pytest.skip("this source has no proxy before its broker")
    factory = source.virtual.loop if source.virtual else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_keep(promise, source))


async def _keep(promise: Promise, source: EngineSource) -> None:
    from mergepoint_testkit.bus.refusals import refuse

    changes: dict[str, Any] = dict(promise.limits)  # Any: fields of Limits, of their own types
    source.limits = replace(source.limits, **changes)
    await source.start()
    try:
        async with Stand(source) as stand:
            first = await stand.connect()
            missing = [name for name in promise.needs if not has(first.capabilities, name)]
            if missing:
                await refuse(stand, first, missing[0])
            else:
                await promise.check(stand)
    finally:
        await source.stop()
