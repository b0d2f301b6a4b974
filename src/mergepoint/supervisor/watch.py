"""Restart one app in development when one of its files changes.

Place:  supervisor.run -> [supervisor.watch] -> supervisor.change
Rule:   only the app whose files changed; many changes at once are one restart; a broken change
        leaves the old process serving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from watchfiles import awatch

from mergepoint.supervisor import change
from mergepoint.supervisor.contract import AppSpec
from mergepoint.supervisor.report import Step
from mergepoint.supervisor.running import Running
from mergepoint.supervisor.sources import is_source

DEBOUNCE_MS = 300
STEP_MS = 50
LOOK_AGAIN_S = 2.0


def apps_of(paths: Iterable[str], apps: Iterable[AppSpec]) -> dict[str, list[str]]:
    """Return which apps the changed paths belong to: those that watch a folder above them."""
    found: dict[str, list[str]] = {}
    for spec in apps:
        for path in paths:
            if any(Path(path).is_relative_to(root) for root in spec.watch):
                found.setdefault(spec.name, []).append(path)
    return found


class Watcher:
    """Watches for ever; call `again` when the manifest changed what is to be watched."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stop = asyncio.Event()

    def again(self) -> None:
        """Look at the watched paths anew."""
        self._stop.set()

    async def run(self) -> None:
        """Restart apps as their files change."""
        while True:
            self._stop = asyncio.Event()
            specs = self._running.wanted.apps.values()
            roots = sorted({root for spec in specs for root in spec.watch if root.exists()})
            if not roots:
                await self._running.clock.sleep(LOOK_AGAIN_S)
                continue
            async for changes in awatch(
                *roots, watch_filter=is_source, debounce=DEBOUNCE_MS, step=STEP_MS,
                stop_event=self._stop,
            ):  # fmt: skip
                await self._restart([path for _, path in changes])

    async def _restart(self, paths: list[str]) -> None:
        await change.look(self._running)
        for name, changed in apps_of(paths, self._running.wanted.apps.values()).items():
            if name not in self._running.apps:
                continue
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            self._running.tell(Step.STARTING, name, None, f"{Path(changed[0]).name}{more} changed")
            change.aim(self._running, name, self._running.wanted.apps[name])
