"""Calls of operators: statistics, a check of the file, a copy of it.

Place:  bus.hub.hub -> [bus.hub.upkeep] -> bus.hub.checked, bus.hub.backup
Rule:   a copy goes into the state directory alone, under a plain name.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.bus.errors import BusError, BusFull, BusRefused
from mergepoint.bus.hub import checked, fields
from mergepoint.bus.hub.backup import Backup
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.database import is_full
from mergepoint.bus.hub.extension import Extension
from mergepoint.bus.hub.groups import Groups
from mergepoint.bus.hub.store import Store

DIRECTORY = "backups"
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,99}")


class Upkeep:
    """What an operator asks of a running hub."""

    def __init__(
        self,
        store: Store,
        groups: Groups,
        extensions: Mapping[str, Extension],
        live: Callable[[], dict[str, Any]],
    ) -> None:
        self._store = store
        self._groups = groups
        self._extensions = extensions
        self._live = live
        self._copying: asyncio.Task[None] | None = None

    def ops(self) -> dict[str, Callable[[Call], None]]:
        """Return the operations by name."""
        return {"stats": self._stats, "integrity": self._integrity, "backup": self._backup}

    def _stats(self, call: Call) -> None:
        store = self._store
        queues = list(store.parts.queues)
        call.ok(
            {
                **self._live(),
                "full": self._groups.full,
                "groups": self._groups.groups,
                "works": self._groups.works,
                "commit_s": self._groups.commit_s,
                "leases": len(store.parts.leases),
                "takers": self._groups.takers.count(),
                "queues": len(queues),
                "messages": sum(queue.messages for queue in queues),
                "dead": sum(queue.dead for queue in queues),
                "file_bytes": store.path.stat().st_size,
                "wal_bytes": store.database.wal_bytes(),
                "sqlite": sqlite3.sqlite_version,
            }
        )

    def _integrity(self, call: Call) -> None:
        faults: list[str] = []

        def check() -> None:
            faults.extend(checked.faults(self._store.parts))
            for extension in self._extensions.values():
                faults.extend(extension.checked(self._store.database.db))

        def told(done: asyncio.Future[None]) -> None:
            if (error := done.exception()) is not None:
                faults.append(str(error))
            call.ok(faults)

        self._groups.between(check).add_done_callback(told)

    def _backup(self, call: Call) -> None:
        name = fields.text(call.head, "name")
        if _NAME.fullmatch(name) is None or name.endswith(".part"):
            raise BusRefused(f"backup {name!r}: a plain name, of a-z A-Z 0-9 _ . -")
        if self._copying is not None and not self._copying.done():
            raise BusRefused("a backup is being made", next="wait until it is done")
        self._copying = asyncio.get_running_loop().create_task(self._copy(call, name))

    async def _copy(self, call: Call, name: str) -> None:
        target = self._store.path.parent / DIRECTORY / name
        backup = Backup(self._store.database.db, target)
        try:
            while not backup.done:
                await self._groups.between(backup.step)
        except (sqlite3.Error, OSError) as error:
            full = isinstance(error, sqlite3.Error) and is_full(error)
            kind: type[BusError] = BusFull if full else BusRefused
            call.fail(kind(f"backup {target}: {error}"))
            return
        call.ok({"path": str(target), "bytes": target.stat().st_size})
