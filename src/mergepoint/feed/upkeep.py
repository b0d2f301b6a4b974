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

Audited = Callable[[str, Audit], None]


class Upkeep:
    """One task for each source, on the service's loop."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        limits: FeedLimits,
        clock: Clock,
        log: Callable[..., None],
        tell: Audited,
    ) -> None:
        self._readers = readers
        self._limits = limits
        self._clock = clock
        self._log = log
        self._tell = tell
        self._audits: dict[str, Audit] = {}
        self._epochs: dict[str, str] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._keep(name)) for name in self._readers]

    async def stop(self) -> None:
        """End."""
        tasks = [*self._tasks, *self._looking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def audited(self, name: str, epoch: str) -> None:
        """Return once this source was audited in this epoch. Raises `FeedError`.

        A log that is another one than before may have other tables.
        """
        if self._epochs.get(name) == epoch:
            return
        if name not in self._looking:
            self._looking[name] = asyncio.create_task(self._look(name))
        looking = self._looking[name]
        try:
            # Shielded: whoever gives up waiting does not end it for the next one.
            await asyncio.shield(looking)
        finally:
            if looking.done():
                self._looking.pop(name, None)
        self._epochs[name] = epoch

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
            await self._clock.sleep(self._limits.audit_s)
            trim_in_s -= self._limits.audit_s
            try:
                await self._look(name)
                if trim_in_s <= 0:
                    trim_in_s = self._limits.trim_s
                    await self._readers[name].trim()
            except FeedError as error:
                self._log("feed.upkeep_failed", source=name, error=error.message)

    async def _look(self, name: str) -> None:
        audit = await self._readers[name].audit()
        before = self._audits.get(name)
        self._audits[name] = audit
        self._tell(name, audit)
        if before is None or before.findings != audit.findings:
            for finding in audit.findings:
                self._log(
                    "feed.not_logged", source=name, table=finding.table,
                    why=finding.fault.value, next=finding.next,
                )  # fmt: skip
