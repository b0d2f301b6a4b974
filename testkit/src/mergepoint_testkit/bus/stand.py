"""What a promise is given: connections, names, messages, and patience.

Place:  bus.promise -> [bus.stand] -> an engine
Rule:   what must come is awaited with patience; what must not come has a marker sent behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from mergepoint.bus.contract import (
    Engine,
    Gap,
    Lease,
    PresenceChange,
    PresenceWatch,
    Put,
    State,
    Subscription,
)
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.proxy import FaultProxy
from mergepoint_testkit.bus.source import EngineSource

Answer = TypeVar("Answer")
LONG_S = 60.0
"""A lease or a delay that does not end during a test."""


class Stand:
    """One promise's view of the engine; closes what it opened."""

    def __init__(self, source: EngineSource) -> None:
        self.source = source
        self.token = uuid.uuid4().hex[:8]
        self.states: dict[int, list[State]] = {}
        self._state_came = asyncio.Event()
        self._engines: list[Engine] = []
        self._readers: list[Reader[Any]] = []
        self._numbers = itertools.count(1)
        self._proxy: FaultProxy | None = None

    async def __aenter__(self) -> Stand:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers:
            await reader.stop()
        for engine in self._engines:
            with contextlib.suppress(TimeoutError):
                await self.soon(engine.close())
        if self._proxy is not None:
            await self._proxy.stop()

    @property
    def short_s(self) -> float:
        """A time that passes while the test looks on."""
        return self.source.short_s

    @property
    def now(self) -> float:
        """Unix seconds by the engine's clock."""
        return self.source.clock.unix_s()

    async def connect(self, address: str = "") -> Engine:
        """Return one more connection to the same broker, opened."""
        return await self._open(self.source.make_engine(self.source.limits, address))

    async def connect_through(self, address: str = "") -> Engine:
        """Return one more connection, through the proxy; the first of them starts it."""
        if self._proxy is None:
            self._proxy = FaultProxy(self.source.broker_address())
            await self._proxy.start()
        place, limits = self._proxy.address, self.source.limits
        return await self._open(self.source.make_engine_at(place, limits, address))

    @property
    def proxy(self) -> FaultProxy:
        """The proxy of `connect_through`."""
        assert self._proxy is not None, "nothing went through it yet"
        return self._proxy

    async def _open(self, engine: Engine) -> Engine:
        states = self.states.setdefault(id(engine), [])
        self._engines.append(engine)

        def told(state: State, _reason: str) -> None:
            states.append(state)
            self._state_came.set()

        await self.soon(engine.open(told))
        return engine

    async def until(self, engine: Engine, state: State, *, ever: bool = False) -> None:
        """Return when the engine is in this state, or has `ever` been since it was opened."""
        states = self.states[id(engine)]
        async with self.patience():
            while not (state in states if ever else states[-1] is state):
                self._state_came.clear()
                await self._state_came.wait()

    @property
    def first(self) -> Engine:
        """The connection that is there from the beginning."""
        return self._engines[0]

    @property
    def last(self) -> Engine:
        """The connection that was made last."""
        return self._engines[-1]

    async def kill(self, engine: Engine) -> None:
        """Let it vanish without a word."""
        self._engines.remove(engine)
        await self.source.kill(engine)

    def name(self, word: str) -> str:
        """Return a name for a topic or queue that no other test uses."""
        return f"t{self.token}.{word}"

    def address(self, word: str) -> str:
        """Return an app's address that no other test uses."""
        return f"t{self.token}{word}"

    def message(self, data: bytes = b"{}", **attributes: Any) -> Message:
        """Return a message with an id of its own; any attribute may be given."""
        given = {"id": f"{self.token}-{next(self._numbers)}", "source": "suite", "type": "test"}
        return Message(**{**given, "data": data, **attributes})

    async def put(self, engine: Engine, queue: str, *datas: bytes, **how: Any) -> list[str]:
        """Put one message for each of these, all treated alike; return their ids."""
        puts = [Put(message=self.message(data), **how) for data in datas]
        accepted = await self.soon(engine.put(queue, puts))
        assert [one.id for one in accepted] == [put.message.id for put in puts]
        return [one.id for one in accepted]

    async def take(
        self, engine: Engine, queue: str, *, lease_s: float = LONG_S, worker: str = "worker"
    ) -> Lease:
        """Return the next job; fail when none comes."""
        leases = await self.take_some([queue], engine, lease_s=lease_s, worker=worker, limit=1)
        return leases[0]

    async def take_some(
        self,
        queues: Sequence[str],
        engine: Engine,
        *,
        limit: int,
        lease_s: float = LONG_S,
        worker: str = "worker",
    ) -> list[Lease]:
        """Return one to `limit` jobs; fail when none comes."""
        leases = await self.soon(
            engine.take(
                queues,
                worker=worker,
                limit=limit,
                lease_s=lease_s,
                wait_s=self.source.patience_s / 2,
            )
        )
        assert leases, f"no job came from {queues}"
        assert len(leases) <= limit
        return leases

    async def take_count(self, engine: Engine, queue: str, count: int) -> list[Lease]:
        """Return exactly so many jobs, in the order they came, held all at once."""
        leases: list[Lease] = []
        while len(leases) < count:
            leases += await self.take_some([queue], engine, limit=count - len(leases))
        return leases

    async def finish(self, engine: Engine, *leases: Lease) -> None:
        """Finish these; fail if one was lost."""
        assert await self.soon(engine.ack(leases)) == []

    async def none_left(self, engine: Engine, *queues: str, worker: str = "looker") -> None:
        """Fail when a job can be taken now."""
        leases = await self.soon(
            engine.take(queues, worker=worker, limit=1, lease_s=LONG_S, wait_s=self.source.quiet_s)
        )
        assert leases == []

    async def soon(self, coming: Coroutine[Any, Any, Answer]) -> Answer:
        """Return what must come while there is patience."""
        async with asyncio.timeout(self.source.patience_s):
            return await coming

    def patience(self) -> asyncio.Timeout:
        """Return a context that fails when patience is over."""
        return asyncio.timeout(self.source.patience_s)

    async def passing(self, seconds: float) -> None:
        """Return when that much time has gone by."""
        await self.source.clock.sleep(seconds)

    async def listen(self, engine: Engine, pattern: str, **how: Any) -> Reader[Message | Gap]:
        """Subscribe and read in the background."""
        return self.read(await self.soon(engine.subscribe(pattern, **how)))

    async def look(self, engine: Engine, pattern: str) -> Reader[PresenceChange]:
        """Watch who is there, and read in the background."""
        return self.read(await self.soon(engine.watch(pattern)))

    def read(self, source: Any) -> Reader[Any]:  # Any: a Subscription or a PresenceWatch
        """Read a subscription or a watch that is already there."""
        reader: Reader[Any] = Reader(source, self.source.patience_s)
        self._readers.append(reader)
        return reader


Item = TypeVar("Item")


class Reader(AsyncIterator[Item]):
    """Everything that came, kept; `next` waits for the next one with patience."""

    def __init__(self, source: Subscription | PresenceWatch, patience_s: float) -> None:
        self.source = source
        self.ended = asyncio.Event()
        self._patience_s = patience_s
        self._came: asyncio.Queue[Item] = asyncio.Queue()
        self._task = asyncio.create_task(self._pump())

    async def _pump(self) -> None:
        async for item in self.source:
            self._came.put_nowait(item)  # type: ignore[arg-type]
        self.ended.set()

    async def __anext__(self) -> Item:
        async with asyncio.timeout(self._patience_s):
            return await self._came.get()

    async def many(self, count: int) -> list[Item]:
        """Return the next so many."""
        return [await anext(self) for _ in range(count)]

    async def end(self) -> None:
        """Return when the iteration has ended by itself."""
        async with asyncio.timeout(self._patience_s):
            await self.ended.wait()

    async def stop(self) -> None:
        """Read no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
