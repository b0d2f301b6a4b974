"""Reach the bus and the tasks of a site from a command: connect, do one thing, leave.

Place:  cli.commands.{bus,tasks,deadletters,presence} -> [cli.bus_reach] -> assembly.reach
Rule:   a site without a bus, or whose bus does not answer, is told of in one sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mergepoint.cli.invocation import invocation
from mergepoint.core.errors import Exit, MergepointError

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.manifest.site import Site

T = TypeVar("T")


class NoBus(MergepointError):
    """The manifest says nothing of messages."""

    code = "cli.no_bus"
    exit = Exit.USAGE


class BusAway(MergepointError):
    """The bus does not answer."""

    code = "cli.bus_away"
    exit = Exit.NOT_RUNNING


def site_with_bus() -> Site:
    """Return the site of this invocation; raise `NoBus` when it has none."""
    from mergepoint.cli.site import running

    found = running(invocation())
    site = found.site
    if site is None:
        raise MergepointError("the manifest has errors", next="mergepoint check")
    if site.bus is None:
        raise NoBus(
            "this site has no bus: its manifest says nothing of messages or tasks",
            next="add [bus] to the manifest, then mergepoint reload",
        )
    return site


def with_bus(work: Callable[[Reach], Awaitable[T]]) -> T:
    """Do `work` with the open bus of the site and return what it returns.

    Raises `NoBus`, `BusAway`, and what the bus or the ledger refused.
    """
    from mergepoint.assembly.reach import reach
    from mergepoint.bus.errors import BusLost

    site = site_with_bus()

    async def session() -> T:
        async with reach(site) as found:
            return await work(found)

    try:
        return asyncio.run(session())
    except BusLost as error:
        raise BusAway(
            f"the bus does not answer: {error.message}", next=error.next or "mergepoint status"
        ) from error


def data_given(text: str | None, *, stdin: bool) -> bytes:
    """Return what stands on the command line, or what comes by stdin for ``-``."""
    import sys

    if stdin:
        return sys.stdin.buffer.read()
    return (text or "").encode()


def ask_first(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; without a terminal `--yes` is needed."""
    import click

    if yes:
        return
    if not invocation().interactive():
        raise click.UsageError(f"{question} Add --yes to say so.")
    click.confirm(question, abort=True, err=True)
