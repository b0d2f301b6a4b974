"""Whether the bus of a site answers, and how its hub is.

Place:  cli.doctor_site -> [cli.doctor_bus] -> assembly.reach
Rule:   looks and asks; a site that does not run is no fault, since its hub does not run either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from mergepoint.assembly.reach import Reach, reach
from mergepoint.bus.capabilities import WHO_CAN, has
from mergepoint.bus.errors import BusError
from mergepoint.cli.control import is_running
from mergepoint.cli.doctor_result import Result
from mergepoint.cli.output import size
from mergepoint.manifest.site import Site


def check(site: Site) -> Iterator[Result]:
    """Yield what is known of the engine and the hub."""
    if site.bus is None:
        return
    own = site.bus.url.is_own_hub
    if own and not is_running(site.run_dir):
        yield Result("bus", "ok", "the hub runs with the site, which does not run now")
        return
    try:
        told, stats = asyncio.run(_asked(site))
    except BusError as error:
        fix = error.next or "mergepoint logs hub"
        yield Result("bus", "failed", f"does not answer: {error.message}", fix)
        return
    yield Result("bus", "ok", told)
    yield from _hub(stats)


async def _asked(site: Site) -> tuple[str, dict[str, Any]]:
    async with reach(site) as found:
        await found.engine.queues()
        return _abilities(found), await found.stats()


def _abilities(found: Reach) -> str:
    capabilities = found.engine.capabilities
    able = ", ".join(name for name in WHO_CAN if has(capabilities, name))
    return f"the engine {capabilities.engine} answers; it can {able or 'topics alone'}"


def _hub(stats: dict[str, Any]) -> Iterator[Result]:
    shown = f"SQLite {stats['sqlite']}, {size(stats['file_bytes'])}, {stats['messages']} messages"
    if stats.get("full"):
        fix = "free space where the state directory lies; nothing accepted is lost"
        yield Result("hub", "failed", f"{shown}; the disk is full", fix)
    elif stats.get("dead"):
        fix = "mergepoint deadletters list"
        yield Result("hub", "warning", f"{shown}, {stats['dead']} dead letters", fix)
    else:
        yield Result("hub", "ok", shown)
