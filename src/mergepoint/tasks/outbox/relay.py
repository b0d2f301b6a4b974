"""From outboxes to the bus: what was committed is put, then deleted, in this order.

Place:  the hub, assembly -> [outbox.relay] -> outbox.relay_sending, outbox.relay_store
Rule:   a crash between both repeats the put; the engine drops the repeat by its id.

    relay = Relay(RelaySettings(databases=("sqlite:////srv/app.db",)), engine, clock)
    await relay.run()                     # until it is cancelled

One relay works for a database at a time (a file's lock, an advisory lock); others stand by.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergepoint.bus.contract import Engine
from mergepoint.bus.exposition import Sample
from mergepoint.core.clock import Clock
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.crash import crash_points
from mergepoint.tasks.outbox.relay_sending import Sending
from mergepoint.tasks.outbox.relay_store import Lag, Store, StoreLost
from mergepoint.tasks.outbox.rows import Waiting

log = logging.getLogger("mergepoint.outbox")


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """Whose outboxes, and the bounds of relaying them."""

    databases: tuple[str, ...] = ()
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://...`."""
    batch_max: int = 200
    """Rows of one claim."""
    poll_s_min: float = 0.002
    """Between two looks right after there was something, or somebody was about to commit."""
    poll_s_max: float = 0.25
    """Between two looks at a quiet database: for writers that cannot tell of their commits."""
    tries_max: int = 10
    """Refusals of one row before it is parked."""
    pause_s: float = 0.5
    """After the bus was lost or full, before the next try."""
    crash_at: str = ""


class Relay:
    """Relays every database of its settings."""

    def __init__(self, settings: RelaySettings, engine: Engine, clock: Clock) -> None:
        self._settings = settings
        self._sending = Sending(engine, settings.tries_max)
        self._clock = clock
        self._passing = crash_points(settings.crash_at)
        self._stores = [open_store(url) for url in settings.databases]
        self._woken = {store.name: asyncio.Event() for store in self._stores}
        self.relayed: dict[str, int] = {store.name: 0 for store in self._stores}
        """How many rows were sent since this relay began, by database."""
        self.leading: set[str] = set()

    async def run(self) -> None:
        """Relay until cancelled; a database that is away is tried again and again."""
        async with asyncio.TaskGroup() as group:
            for store in self._stores:
                group.create_task(self._serve(store), name=f"relay {store.name}")

    def wake(self, database: str = "") -> None:
        """Look now: somebody committed; without a name into every database."""
        for name, event in self._woken.items():
            if database in ("", name):
                event.set()

    async def lags(self) -> dict[str, Lag]:
        """Return how every outbox stands that is relayed here."""
        found = {}
        for store in self._stores:
            if store.name in self.leading:
                with contextlib.suppress(StoreLost):
                    found[store.name] = await store.lag(self._clock.unix_s())
        return found

    async def _serve(self, store: Store) -> None:
        said = ""
        try:
            while True:
                try:
                    if await store.lead():
                        self.leading.add(store.name)
                        said = ""
                        await self._relay(store)
                except StoreLost as error:
                    if str(error) != said:  # not again for every try
                        said = str(error)
                        log.warning("outbox of %s: %s", store.name, said)
                    self.leading.discard(store.name)
                    await store.close()
                await self._clock.sleep(self._settings.pause_s)
        finally:
            self.leading.discard(store.name)
            await store.close()

    async def _relay(self, store: Store) -> None:
        held: set[str] = set()
        held_until = 0.0
        poll_s = self._settings.poll_s_min
        while True:
            if self._clock.monotonic_s() >= held_until:
                held = set()
            await store.changed()  # from here on: what comes while we look is seen afterwards
            claimed = await store.claim(self._settings.batch_max, sorted(held))
            if claimed:
                poll_s = self._settings.poll_s_min
                full = await self._send(store, claimed)
                if full:
                    held |= full
                    held_until = self._clock.monotonic_s() + self._settings.pause_s
                continue
            await store.release()
            poll_s = await self._wait(store, poll_s, held_until if held else 0.0)

    async def _wait(self, store: Store, poll_s: float, until: float) -> float:
        """Return when there may be something, with the next pause."""
        event = self._woken[store.name]
        while not until or self._clock.monotonic_s() < until:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_s):
                    await event.wait()
                    event.clear()
                    return self._settings.poll_s_min
            if await store.changed():
                return self._settings.poll_s_min
            poll_s = min(poll_s * 1.5, self._settings.poll_s_max)
        return poll_s

    async def _send(self, store: Store, claimed: Sequence[Waiting]) -> set[str]:
        """Put a batch and delete what was accepted; return queues that are full."""
        self._passing("relay.after_claim")
        outcome = await self._sending.send(claimed, store.name)
        self._passing("relay.after_publish")
        self._passing("relay.before_delete")
        await store.settle(outcome.done, outcome.refused, 0.0)
        if outcome.parked:
            await store.settle([], outcome.parked, self._clock.unix_s())
            for reason in outcome.parked.values():
                log.error("outbox of %s: a row was parked: %s", store.name, reason)
        await store.release()
        self._passing("relay.after_delete")
        self.relayed[store.name] += len(outcome.done)
        return outcome.held


async def samples_of(relay: Relay) -> list[Sample]:
    """Return how the outboxes stand that are relayed here, for metrics."""
    made: list[Sample] = [
        ("mergepoint_outbox_relayed_total", {"database": name}, count)
        for name, count in relay.relayed.items()
    ]
    for name, lag in (await relay.lags()).items():
        database = {"database": name}
        made += [
            ("mergepoint_outbox_rows", {**database, "state": "waiting"}, lag.waiting),
            ("mergepoint_outbox_rows", {**database, "state": "parked"}, lag.parked),
            ("mergepoint_outbox_oldest_seconds", database, round(lag.oldest_s, 3)),
        ]
    return made


async def run_relay(settings: RelaySettings, engine: Engine, clock: Clock) -> None:
    """Relay until cancelled."""
    await Relay(settings, engine, clock).run()


def open_store(url: str) -> Store:
    """Return the store of a database; raise `OutboxRefused` for one that has none."""
    kinds: dict[str, Callable[[str], Store]] = {
        "sqlite": _sqlite,
        "postgresql": _postgres,
        "postgres": _postgres,
    }
    kind = url.partition(":")[0].partition("+")[0]
    try:
        return kinds[kind](url)
    except KeyError:
        raise OutboxRefused(
            f"no relay for {kind} databases; there is one for sqlite and postgresql"
        ) from None


def _sqlite(url: str) -> Store:
    from mergepoint.tasks.outbox.relay_sqlite import SqliteStore

    return SqliteStore(url)


def _postgres(url: str) -> Store:
    from mergepoint.tasks.outbox.relay_postgres import PostgresStore

    return PostgresStore(url)
