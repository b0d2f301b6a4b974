"""Turn a newly read manifest, a restart or a scale command into changed pools.

Place:  supervisor.verbs, supervisor.run -> [supervisor.change] -> supervisor.running
Rule:   a wish that is wrong changes nothing; only what differs is rolled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from mergepoint.core.errors import EdgeRefused, MergepointError
from mergepoint.supervisor.contract import AppSpec, Role, SnapshotSource, Wanted
from mergepoint.supervisor.pool import SLOTS_MAX, Canary, Pool, aimed
from mergepoint.supervisor.publish import APPLY_TIMEOUT_S, Publisher
from mergepoint.supervisor.running import EDGE, Running, edge_spec
from mergepoint.supervisor.services import shown, together
from mergepoint.supervisor.sockets import Listener, bind, is_same
from mergepoint.supervisor.sources import looked_at


class ChangeRefused(MergepointError):
    """A command asks for something this site does not have or allow."""

    code = "supervisor.change_refused"


async def take(
    running: Running, publisher: Publisher, wanted: Wanted, compiler: SnapshotSource,
    named: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Make `wanted` what should run and return the apps whose processes change.

    When apps are `named`, changed files of other apps wait for a reload that means them.

    Raises `ListenerRefused` or `EdgeRefused` with everything as it was before.
    """
    before = (running.wanted, running.compile, dict(running.listeners))
    fresh = _bind_new(running, wanted)
    try:
        running.wanted, running.compile = wanted, compiler
        await publisher.apply_now()
    except (EdgeRefused, TimeoutError) as error:
        running.wanted, running.compile, running.listeners = before
        for listener in fresh:
            listener.close()
        if isinstance(error, TimeoutError):
            silent = f"the edge did not answer within {APPLY_TIMEOUT_S:g} s"
            raise EdgeRefused(silent, next="mergepoint status") from error
        raise
    for name, listener in before[2].items():
        # An edge that still drains has its own copy; ours would keep the port open for nobody.
        if running.listeners.get(name) is not listener:
            listener.close()
    names = [
        name
        for name, spec in wanted.apps.items()
        if _take_app(
            running, name, spec, mended=name in before[0].failures, look=not named or name in named
        )
    ]
    for name in set(running.apps) - set(wanted.apps) - set(wanted.failures):
        running.change(name, lambda pool: replace(pool, ending=True))
        names.append(name)
    for name, failure in wanted.failures.items():
        running.change(name, partial(replace, refused=failure))
    if running.pools[EDGE].spec.digest != edge_spec(wanted).digest:
        aim(running, EDGE, edge_spec(wanted))
    publisher.force()
    return names


async def look(running: Running) -> None:
    """See what the files of every app are now, so that the next reload compares with these."""
    seen = await asyncio.to_thread(looked_at, running.wanted)
    apps = {
        name: replace(spec, sources=seen.apps[name].sources) if name in seen.apps else spec
        for name, spec in running.wanted.apps.items()
    }
    running.wanted = replace(running.wanted, apps=apps)


def aim(running: Running, name: str, spec: AppSpec, canary: Canary | None = None) -> None:
    """Ask for a new release of an app, also when nothing about it changed."""
    running.change(name, lambda pool: aimed(pool, spec, running.new_release(spec), canary))


def restart(running: Running, names: Iterable[str], canary: Canary | None = None) -> list[str]:
    """Ask for a new release of these apps as wanted now; all of them when none is named.

    An app's task workers go with it; the services beside the apps only when they are named.
    """
    apps = (n for n, spec in running.wanted.apps.items() if spec.role in {Role.APP, Role.TASKS})
    chosen = together(running.apps, names) or list(apps)
    for name in chosen:
        known(running, name)
    for name in chosen:
        if running.pools[name].spec.digest == running.wanted.apps[name].digest or canary:
            aim(running, name, running.wanted.apps[name], canary)
    return chosen


def scale(running: Running, name: str, count: int) -> int:
    """Set how many slots an app has and return it; load does not change it until a reload.

    Raises `ChangeRefused` outside 1 to the bound, and beyond a `max` of the manifest.
    """
    if known(running, name).spec.role not in {Role.APP, Role.TASKS}:
        raise ChangeRefused(f"a site has one {shown(name)}, which cannot be scaled")
    if not 1 <= count <= SLOTS_MAX:
        raise ChangeRefused(f"{name}: {count} processes; between 1 and {SLOTS_MAX} are possible")
    spec = running.pools[name].spec
    if spec.processes_min < spec.processes_max < count:
        allowed = f"{{ min = {spec.processes_min}, max = {count} }}"
        raise ChangeRefused(
            f"{name}: {count} processes; the manifest allows {spec.processes_max}",
            next=f"processes = {allowed} under [apps.{name}], then mergepoint reload",
        )
    running.change(name, partial(replace, count=count, pinned=True))
    return count


def known(running: Running, name: str) -> Pool:
    """Return the pool of an app; raise `ChangeRefused` naming those there are."""
    if name in running.apps and name in running.wanted.apps:
        return running.pools[name]
    if name in running.wanted.failures:
        failure = running.wanted.failures[name]
        raise ChangeRefused(f"{name} cannot start: {failure.reason}", next=failure.next)
    names = ", ".join(sorted(map(shown, running.wanted.apps))) or "none"
    raise ChangeRefused(f"no app {name!r} with processes; there are: {names}")


def new_pool(running: Running, name: str, spec: AppSpec) -> Pool:
    """Return a pool with nothing running."""
    return Pool(name, spec, running.new_release(spec), spec.processes)


def _take_app(running: Running, name: str, spec: AppSpec, *, mended: bool, look: bool) -> bool:
    pool = running.pools.get(name)
    if pool is None or pool.ending:
        running.pools[name] = new_pool(running, name, spec) if pool is None else revived(pool, spec)
        running.wake.set()
        return True
    count = spec.processes if spec.processes != pool.spec.processes else pool.count
    if pool.spec.digest != spec.digest or (look and pool.spec.sources != spec.sources):
        running.change(name, partial(replace, count=count, pinned=False))
        aim(running, name, spec)
        return True
    spec = replace(spec, sources=pool.spec.sources)
    # Bounds and deadlines apply to the processes there are; nothing is rolled for them.
    running.change(name, lambda p: replace(
        p, spec=spec, count=count,
        accepted_spec=spec if p.accepted == p.release else p.accepted_spec,
        refused=None if mended else p.refused, pinned=False,
    ))  # fmt: skip
    return count != pool.count


def revived(pool: Pool, spec: AppSpec) -> Pool:
    """Return a pool that was ending and is wanted again; its slots start anew."""
    return replace(aimed(pool, spec, f"{pool.release}+", None), ending=False, accepted=None,
                   accepted_spec=None, proven=False, count=spec.processes)  # fmt: skip


def _bind_new(running: Running, wanted: Wanted) -> list[Listener]:
    """Bind listeners that are new or moved; edges keep the old one of a moved one."""
    fresh: list[Listener] = []
    listeners: dict[str, Listener] = {}
    try:
        for spec in wanted.listeners:
            old = running.listeners.get(spec.name)
            if old is not None and is_same(old, spec):
                listeners[spec.name] = old
            else:
                listeners[spec.name] = bind(spec)
                fresh.append(listeners[spec.name])
    except MergepointError:
        for listener in fresh:
            listener.close()
        raise
    running.listeners = listeners
    return fresh
