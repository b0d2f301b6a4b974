"""Tasks that wait for each other: chains and groups.

Place:  apps -> [tasks.compose] -> tasks.asking, tasks.sending
Rule:   recorded all or none, in one call; who waits for whom is kept by the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mergepoint.tasks.asking import Call
from mergepoint.tasks.errors import ArgumentsRefused
from mergepoint.tasks.handles import Handle
from mergepoint.tasks.home import Home
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.sending import send
from mergepoint.tasks.spec import LINKS_MAX, Spec


@dataclass(frozen=True)
class Group:
    """A group that was enqueued: its members in order, and its join where it has one."""

    id: str
    members: tuple[Handle, ...]
    join: Handle | None = None


def chain(*calls: Call) -> list[Handle]:
    """Run one after the other; each is given the result of the one before as first argument.

    A dead link stops the chain until it is replayed or discarded; a cancelled one cancels the rest.
    """
    home, specs = chained(calls)
    placed = home.wait(lambda: send(home, specs))
    return [Handle(home, each.id) for each in placed]


async def achain(*calls: Call) -> list[Handle]:
    """Do the same from a coroutine."""
    home, specs = chained(calls)
    placed = await home.join(lambda: send(home, specs))
    return [Handle(home, each.id) for each in placed]


def group(*calls: Call, join: Call | None = None) -> Group:
    """Run these in any order; `join` is then given the list of their results, once."""
    home, name, specs = grouped(calls, join)
    placed = home.wait(lambda: send(home, specs))
    return _group(home, name, [each.id for each in placed], join is not None)


async def agroup(*calls: Call, join: Call | None = None) -> Group:
    """Do the same from a coroutine."""
    home, name, specs = grouped(calls, join)
    placed = await home.join(lambda: send(home, specs))
    return _group(home, name, [each.id for each in placed], join is not None)


def chained(calls: Sequence[Call]) -> tuple[Home, list[Spec]]:
    """Return the specs of a chain."""
    _refuse_wrong(calls)
    specs: list[Spec] = []
    for call in calls:
        after = (specs[-1].id,) if specs else ()
        specs.append(replace(call.spec(chained=len(after)), after=after, unique_key=""))
    return calls[0].asking.home, specs


def grouped(calls: Sequence[Call], join: Call | None) -> tuple[Home, str, list[Spec]]:
    """Return the group's id and the specs of its members, then of its join."""
    _refuse_wrong(calls)
    home = calls[0].asking.home
    name = new_id(home.clock.unix_s())
    # A member found to be unique elsewhere would end with that one's life, not the group's.
    specs = [replace(call.spec(), group=name, unique_key="") for call in calls]
    if join is not None:
        after = tuple(spec.id for spec in specs)
        specs.append(replace(join.spec(chained=1), after=after, group=name, unique_key=""))
    return home, name, specs


def _refuse_wrong(calls: Sequence[Call]) -> None:
    if not calls:
        raise ArgumentsRefused("a chain or group of nothing")
    if len(calls) > LINKS_MAX:
        raise ArgumentsRefused(f"{len(calls)} tasks together; {LINKS_MAX} at most")
    if not all(isinstance(call, Call) for call in calls):
        raise ArgumentsRefused("chains and groups are made of task.call(...)")


def _group(home: Home, name: str, ids: Sequence[str], joined: bool) -> Group:
    handles = [Handle(home, each) for each in ids]
    members = handles[:-1] if joined else handles
    return Group(id=name, members=tuple(members), join=handles[-1] if joined else None)
