"""The feed of a site: which databases the hub follows, and the thread in which it does.

Place:  assembly.messages, assembly.hub -> [assembly.feed] -> feed.service, feed.adapters
Rule:   a database that cannot be followed is told of, and stops neither the others nor the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mergepoint.bus.hub.log import Log, json_lines
from mergepoint.core.clock import SystemClock
from mergepoint.feed.contract import Database, FeedLimits, Reader
from mergepoint.feed.engines import reader_of
from mergepoint.feed.errors import FeedError, FeedRefused
from mergepoint.feed.service import FeedService
from mergepoint.manifest.site import Site

VARIABLE = "MERGEPOINT_FEED"
"""What the hub is told; holds passwords."""
APPS_VARIABLE = "MERGEPOINT_DATABASES"
"""What apps are told; may hold passwords."""
SOCKET = "feed.sock"
STOP_S = 3.0
START_S = 10.0

Json = dict[str, Any]


def socket_of(site: Site) -> Path:
    """Return where edges ask."""
    return site.run_dir / SOCKET


def databases_of(site: Site) -> tuple[Database, ...]:
    """Return the databases of a site as the feed knows them."""
    return tuple(
        Database(one.name, one.url.value, one.tables, one.ignore, one.keys)
        for one in site.databases
    )


def app_databases(site: Site, app: str) -> dict[str, str]:
    """Return what an app is told of databases; nothing when it is told of none."""
    own_user = site.apps[app].user is None if app in site.apps else False
    told = [
        {"name": one.name, "url": one.url.value, "ignore": list(one.ignore)}
        for one in site.databases
        if (app in one.apps if one.apps else own_user)
    ]
    return {APPS_VARIABLE: json.dumps(told)} if told else {}


def feed_document(site: Site) -> Json:
    """Return what the hub is told of the feed; leases are those the edge is told of."""
    cache = site.cache
    limits = {} if cache is None else {"lease_s": cache.lease_s, "poll_s": cache.poll_s}
    return {
        "socket": str(socket_of(site)),
        "limits": limits,
        "databases": [
            {
                "name": one.name,
                "url": one.url,
                "tables": list(one.tables),
                "ignore": list(one.ignore),
                "keys": {table: list(columns) for table, columns in one.keys.items()},
            }
            for one in databases_of(site)
        ],
    }


class FeedThread:
    """The feed's service beside a hub, on a loop and a thread of its own."""

    def __init__(
        self, socket: Path, readers: Mapping[str, Reader], limits: FeedLimits, log: Log
    ) -> None:
        self._socket = socket
        self._readers = readers
        self._limits = limits
        self._log = log
        self._stop: Callable[[], None] = lambda: None
        self._ready = threading.Event()
        self._broken: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Return once edges can connect. Raises `FeedRefused` when the socket cannot be bound."""
        self._thread.start()
        self._ready.wait(START_S)
        if self._broken is not None:
            raise FeedRefused(f"{self._socket}: {self._broken}", next="is another hub running?")

    def stop(self) -> None:
        """End it; a second call does nothing."""
        self._stop()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        service = FeedService(self._readers, self._limits, SystemClock(), self._log)

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(over.set)

        self._stop = stop
        try:
            await service.start(self._socket)
        except OSError as error:
            self._broken = error
            return
        finally:
            self._ready.set()
        await over.wait()
        await service.stop()


def feed_from(text: str) -> FeedThread | None:
    """Return the feed of what the hub was told, None where it follows nothing."""
    if not text:
        return None
    log = json_lines(SystemClock().unix_s)
    told = json.loads(text)
    limits = FeedLimits(**told.get("limits", {}))
    readers: dict[str, Reader] = {}
    for one in told["databases"]:
        keys = {table: tuple(columns) for table, columns in one["keys"].items()}
        database = Database(
            one["name"], one["url"], tuple(one["tables"]), tuple(one["ignore"]), keys
        )
        try:
            readers[database.name] = reader_of(database, limits, SystemClock())
        except FeedError as error:
            log("feed.refused", source=database.name, error=error.message, next=error.next)
    return FeedThread(Path(told["socket"]), readers, limits, log)
