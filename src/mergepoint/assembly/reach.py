"""Reach a site's bus and ledger from a process of Mergepoint's own: the gateway, a command.

Place:  cli.bus_reach, assembly.gateway -> [assembly.reach] -> the engine, the hub
Rule:   opens what it is asked for and nothing more; whoever leaves closes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from mergepoint.assembly.build import secret_of
from mergepoint.assembly.engines import engine_of, ledger_beside
from mergepoint.assembly.messages import bus_document, signing_key
from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Change, Engine, Limits, Member
from mergepoint.bus.errors import BusRefused
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.manifest.site import Site
from mergepoint.tasks.announcing import Announcement, Declared, announced
from mergepoint.tasks.contract import Ledger, Release, TaskRecord
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.ledger.hub import HubLedger
from mergepoint.tasks.sending import put_releases
from mergepoint.tasks.spec import Spec
from mergepoint.tasks.states import FINAL
from mergepoint.wire.envelope import Message

ADDRESS = "mp.cli"
JSON_TYPE = "application/json"
BACKUP_S = 3600.0
POLL_S, POLL_S_MAX = 0.05, 0.5

Json = dict[str, Any]


class Reach:
    """An open bus; `hub` keeps the ledger, and is the same connection where it is the engine."""

    def __init__(
        self, engine: Engine, hub: HubEngine, address: str, clock: Clock, codec: Codec
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.codec = codec
        self.subscriptions: tuple[str, ...] = ()
        """Queues of the manifest's subscriptions: some engines cannot list what they have."""
        self._hub = hub
        self._address = address
        self.ledger: Ledger = HubLedger(hub.link, is_queue=engine is hub)
        """Of the hub, unless the engine's own database keeps one."""

    def message(self, name: str, data: bytes, content_type: str) -> Message:
        """Return a message of ours to a topic or queue.

        JSON is written as the site writes values: signed, where it believes nothing else.
        """
        if content_type == JSON_TYPE:
            data, content_type = self.codec.encode(json.loads(data or b"null"))
        now_s = self.clock.unix_s()
        return Message(
            id=new_id(now_s), source=f"/{self._address}", type=name, data=data,
            datacontenttype=content_type,
            time=datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z"),
        )  # fmt: skip

    async def members(self, pattern: str, quiet_s: float) -> list[Member]:
        """Return who is there: everybody told of until nobody was for `quiet_s`."""
        watch = await self.engine.watch(pattern)
        found: dict[str, Member] = {}
        changes = aiter(watch)
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            while True:
                async with asyncio.timeout(quiet_s):
                    change = await anext(changes)
                if change.change is Change.LEFT:
                    found.pop(change.member.address, None)
                else:
                    found[change.member.address] = change.member
        await watch.close()
        return [found[address] for address in sorted(found)]

    async def release(self, releases: Sequence[Release]) -> None:
        """Queue what the ledger released."""
        now_s = self.clock.unix_s()
        await put_releases(self.engine, self.ledger, releases, self._address, now_s)

    async def announced(self, app: str) -> Announcement | None:
        """Return what the task workers of an app declare, as they said at their newest start."""
        return await announced(self.engine, app)

    async def run_task(
        self, name: str, args: list[Any], kwargs: Json, *, queue: str, app: str, key: str,
        delay_s: float,
    ) -> str:  # fmt: skip
        """Record a task and queue it; return its id.

        Queue, priority and options are those that the task workers of `app` have announced, else
        those of its newest run, else the queue of `app` and no options.
        """
        now_s = self.clock.unix_s()
        payload, content_type = self.codec.encode({"args": args, "kwargs": kwargs})
        declared = await self._declared(name, app)
        spec = Spec(
            id=new_id(now_s), name=name, payload=payload, content_type=content_type, key=key,
            queue=queue or declared.queue, priority=declared.priority, options=declared.options,
            not_before=now_s + delay_s if delay_s else 0.0,
        )  # fmt: skip
        made = await self.ledger.enqueue([spec])
        await self.release(made.releases)
        return made.placed[0].id

    async def _declared(self, name: str, app: str) -> Declared:
        told = await self.announced(app) if app else None
        found = told.task(name) if told is not None else None
        if found is not None:
            return found
        known = await self.ledger.records(name=name, limit=1)
        if known:
            spec = known[0].spec
            return Declared(queue=spec.queue, priority=spec.priority, options=spec.options)
        return Declared(queue=app or "default")

    async def ended(self, task: str, wait_s: float) -> TaskRecord:
        """Return the record of a task once it has ended, or as it is after `wait_s`."""
        until_s, pause_s = self.clock.monotonic_s() + wait_s, POLL_S
        while True:
            record = await self.ledger.record(task)
            left_s = until_s - self.clock.monotonic_s()
            if record is not None and (record.state in FINAL or left_s <= 0):
                return record
            await self.clock.sleep(min(pause_s, max(left_s, 0.0)))
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    async def backup(self, name: str) -> Json:
        """Copy the hub's file below its own directory; return path and bytes."""
        answer = await self._hub.link.call({"op": "backup", "name": name}, wait_s=BACKUP_S)
        return dict(answer.value)

    async def stats(self) -> Json:
        """Return what the hub says of itself."""
        return dict((await self._hub.link.call({"op": "stats"})).value)


@contextlib.asynccontextmanager
async def reach(site: Site) -> AsyncIterator[Reach]:
    """Give the open bus of a site; raise `BusLost` or `BusRefused` when it cannot be had."""
    if site.bus is None:
        raise BusRefused("this site has no bus", next="add [bus] to its manifest")
    address = f"{ADDRESS}/{os.getpid()}"
    signing = signing_key(secret_of(site.state_dir))
    told, clock = bus_document(site, site.bus, address, signing), SystemClock()
    limits = Limits(**told["limits"])
    codec = Codec(told["serializer"], told["serializer_options"], clock)
    hub = HubEngine(told["hub"], limits, clock, address=address)
    await hub.open(lambda _state, _reason: None)
    engine: Engine = hub
    try:
        if told["url"] != told["hub"]:
            engine = engine_of(told["url"], limits, clock, address=address)
            await engine.open(lambda _state, _reason: None)
        found = Reach(engine, hub, address, clock, codec)
        found.ledger = await ledger_beside(engine, address) or found.ledger
        found.subscriptions = tuple(entry.queue for entry in site.subscriptions)
        yield found
    finally:
        if engine is not hub:
            await engine.close()
        await hub.close()
