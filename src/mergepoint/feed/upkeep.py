"""What a hub does for each log beside reading it: look after the triggers, remove old rows.

Place:  feed.service -> [feed.upkeep] -> feed.adapters
Rule:   a failure is remembered and told, and tried again; it never stops the reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.core.clock import Clock
from mergepoint.feed.contract import Audit, FeedLimits, Reader
from mergepoint.feed.errors import FeedError

Related = Callable[[str, Mapping[str, tuple[str, ...]]], None]


class Upkeep:
    """One task for each source, on the service's loop."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        limits: FeedLimits,
        clock: Clock,
        log: Callable[..., None],
        related: Related,
    ) -> None:
        self._readers = readers
        self._limits = limits
        self._clock = clock
        self._log = log
        self._related = related
        self._soon = {name: asyncio.Event() for name in readers}
        self._audits: dict[str, Audit] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._keep(name)) for name in self._readers]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look_soon(self, name: str) -> None:
        """Audit this source now: its log is another one than before."""
        self._soon[name].set()

    def status(self) -> dict[str, Any]:
        """Return what the last audits found, for people."""
        return {
            "audits": {
                name: {
                    "tables": {table: list(key) for table, key in audit.tables.items()},
                    "findings": [
                        {"table": f.table, "fault": f.fault.value, "next": f.next}
                        for f in audit.findings
                    ],
                }
                for name, audit in self._audits.items()
            }
        }

    async def _keep(self, name: str) -> None:
        trim_in_s = self._limits.trim_s
        while True:
            self._soon[name].clear()
            try:
                await self._look(name)
                if trim_in_s <= 0:
                    trim_in_s = self._limits.trim_s
                    await self._readers[name].trim()
            except FeedError as error:
                self._log("feed.upkeep_failed", source=name, error=error.message)
            await self._wait(name)
            trim_in_s -= self._limits.audit_s

    async def _look(self, name: str) -> None:
        audit = await self._readers[name].audit()
        before = self._audits.get(name)
        self._audits[name] = audit
        self._related(name, audit.relatives)
        if before is None or before.findings != audit.findings:
            for finding in audit.findings:
                self._log(
                    "feed.not_logged", source=name, table=finding.table,
                    why=finding.fault.value, next=finding.next,
                )  # fmt: skip

    async def _wait(self, name: str) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(self._limits.audit_s))
        asked = asyncio.ensure_future(self._soon[name].wait())
        try:
            await asyncio.wait({sleep, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            asked.cancel()
