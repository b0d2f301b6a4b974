"""`mergepoint.Site.testing()`: a whole bus in a test, with time that is moved and faults.

Place:  tests of apps -> [testing.site] -> assembly.connect, bus.adapters.memory
Rule:   nothing sleeps, nothing is random but by a seed, nothing leaves the process.

    site = mergepoint.Site.testing()
    site.bus.queue("mail").put({"to": "alice"}, delay_s=60)
    site.advance(minutes=1)
    with site.bus.queue("mail").get() as job: ...

Time stands until `advance`, except that a call that waits (`get(wait_s=10)`) lets pass what it
waits for.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mergepoint.assembly.connect import Document, Site
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Engine, Limits
from mergepoint.bus.doorway import Parts
from mergepoint.data.config import Database, of_urls
from mergepoint.feed.positions import MemoryPositions, Positions
from mergepoint.testing.faults import Faults
from mergepoint.testing.virtual_time import VirtualTime

if TYPE_CHECKING:
    from mergepoint.data.site import Data

ADDRESS = "test/0"


class Testing(Site):
    """A site in memory; close it, or use it in a `with` block."""

    __test__ = False  # pytest: no test class, whatever its name

    def __init__(
        self,
        *,
        address: str = ADDRESS,
        limits: Limits | None = None,
        serializer: str = "json",
        serializer_options: dict[str, Any] | None = None,
        beside: Testing | None = None,
        databases: Mapping[str, str] | None = None,
        development: bool = False,
    ) -> None:
        """`beside`: another process of that site, with an address of its own.

        `databases`: addresses by name; without any, `main` is a SQLite file that goes with it.
        """
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        bounds = limits or (beside.document.limits if beside else Limits())
        document = Document(
            url="memory:",
            site="test",
            address=address,
            serializer=serializer,
            serializer_options=serializer_options or {},
            limits=bounds,
        )
        self.time: VirtualTime = beside.time if beside else VirtualTime(free=False)
        self.broker: Broker = beside.broker if beside else Broker(bounds)
        self.faults: Faults = beside.faults if beside else Faults(self.broker)
        self._numbers: itertools.count[int] = beside._numbers if beside else itertools.count(1)
        codec = Codec(serializer, document.serializer_options, self.time)
        super().__init__(
            document,
            self.time,
            parts=self._parts(document, codec),
            make_ledger=self._local_ledger,
            databases=of_urls(databases) if databases else (),
            development=development,
        )
        self._beside = beside
        self._kept: MemoryPositions = beside._kept if beside else MemoryPositions(self.time)
        if beside:
            # One broker lives on one loop, so processes of a test share the loop and its thread.
            self.bus.share_loop(beside.bus)

    def advance(self, *, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Let time pass, and return when all that was due by then is done. Not from async code."""
        if "tasks" in vars(self):
            self.wait(self.ledger)  # schedules are due though nobody has asked for a task
        self.time.advance(seconds + 60 * minutes + 3600 * hours)

    async def aadvance(
        self, *, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0
    ) -> None:
        """As `advance`, from a coroutine."""
        await asyncio.to_thread(self.time.advance, seconds + 60 * minutes + 3600 * hours)

    def run_until_idle(self) -> None:
        """Return when nothing is left to do at this moment of the virtual time."""
        self.time.advance(0.0)

    def fail_next(
        self, operation: str, error: Exception | None = None, *, after: bool = False, times: int = 1
    ) -> None:
        """Let the next `put` (or any operation of an engine) fail, with `BusLost` if not told.

        `after`: it has happened, only the answer is lost.
        """
        self.faults.fail_next(operation, error, after=after, times=times)

    def crash_at(self, operation: str, *, after: bool = False) -> None:
        """Let this process die at the next `ack` (or any operation): `Crashed` is raised.

        What it held comes back as from a killed process; the next call connects anew.
        """
        self.faults.crash_at(operation, self._crash, after=after)

    def duplicate_all(self, times: int = 1) -> None:
        """Let every job that is put from now on be delivered again though it was finished."""
        self.faults.duplicate_all(times)

    def shuffle(self, seed: int = 0) -> None:
        """Give jobs out in any order that the promises allow, the same for the same seed."""
        self.faults.shuffle(seed)

    def close(self) -> None:
        """Close the bus and the databases; a second call does nothing."""
        super().close()
        if self._directory is not None:
            self._directory.cleanup()

    def __enter__(self) -> Testing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def data(self) -> Data:
        """The databases; made when a test first asks."""
        if not self._databases:
            self._databases = self._beside.data.databases if self._beside else self._own_database()
        return super().data

    def _followed(self) -> Sequence[Database]:
        return self.data.databases

    async def _positions(self) -> Positions:
        return self._kept

    def _own_database(self) -> tuple[Database, ...]:
        self._directory = tempfile.TemporaryDirectory(prefix="mergepoint-test-")
        return of_urls({"main": f"sqlite:///{self._directory.name}/main.db"})

    def _parts(self, document: Document, codec: Codec) -> Parts:
        def make_engine() -> Engine:
            return MemoryEngine(
                "memory:", document.limits, self.time, address=document.address, broker=self.broker
            )

        return Parts(
            make_engine=make_engine,
            limits=document.limits,
            clock=self.time,
            codec=codec,
            address=document.address,
            new_id=lambda: f"test-{next(self._numbers)}",
            make_loop=self.time.loop,
            holding=self.time.holding,
            passing=self.time.passing,
        )

    def _crash(self) -> None:
        engine = self.bus.abandon()
        if isinstance(engine, MemoryEngine):
            engine.vanish()

    async def _local_ledger(self) -> Any:
        from mergepoint.tasks.ledger.local import LocalLedger
        from mergepoint.tasks.testing import HereRunner

        ledger = LocalLedger(":memory:", self.time)
        runner = HereRunner(self, ledger, holding=self.time.holding)
        self._running = asyncio.create_task(runner.run())
        return ledger
