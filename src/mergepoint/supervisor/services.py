"""In which order the kinds of processes begin and end, and which of them go together.

Place:  supervisor.run, supervisor.verbs -> [supervisor.services] -> supervisor.pool
Rule:   pure; pools in, names out. Nobody waits for a service that has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mergepoint.supervisor.contract import Role
from mergepoint.supervisor.pool import Pool

ENDING: tuple[frozenset[Role], ...] = (
    frozenset({Role.APP}),
    frozenset({Role.TASKS, Role.GATEWAY}),
    frozenset({Role.HUB}),
)
"""After the edge: what still hands over a last message ends before what takes it."""


def waits_for_hub(pools: Mapping[str, Pool], name: str) -> bool:
    """Tell whether a pool may not start yet, because the hub has never been ready nor failed."""
    if pools[name].spec.role is Role.HUB:
        return False
    hubs = (pool for pool in pools.values() if pool.spec.role is Role.HUB)
    return any(pool.accepted is None and pool.failure is None and not pool.ending for pool in hubs)


def to_end(pools: Mapping[str, Pool], *, now: bool = False) -> list[str]:
    """Return the pools whose turn it is to end when the site stops; all at once with `now`."""
    for turn in ENDING:
        members = [name for name, pool in pools.items() if now or pool.spec.role in turn]
        if any(pools[name].processes or not pools[name].ending for name in members):
            return [name for name in members if not pools[name].ending]
    return []


def together(pools: Mapping[str, Pool], names: Iterable[str]) -> list[str]:
    """Return these pools and those that run their tasks, which must be of the same release."""
    chosen = list(dict.fromkeys(names))
    others = [name for name, pool in pools.items() if pool.spec.of in chosen]
    return [*chosen, *(name for name in others if name not in chosen)]


def meant(known: Iterable[str], name: str) -> str:
    """Return the pool a person means: `hub` is the service, unless an app has that name."""
    names = set(known)
    return f"@{name}" if name not in names and f"@{name}" in names else name


def shown(name: str) -> str:
    """Return the name of a pool as people read it."""
    return name.lstrip("@")
