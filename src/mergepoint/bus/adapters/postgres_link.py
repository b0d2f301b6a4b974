"""The connections of one process to PostgreSQL, and who makes them anew when they are lost.

Place:  postgres -> [postgres_link] -> psycopg
Rule:   knows calls, notifications and heartbeats; nothing of queues or topics.

Three kinds: a pool for calls; one connection that listens and whose session lock says that this
process lives; one that signals and beats. All must be sessions: a pooler in transaction mode in
between is refused by what it breaks (LISTEN, session locks).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mergepoint.bus.adapters.postgres_errors import breaks_connection, translate
from mergepoint.bus.adapters.postgres_schema import migrate
from mergepoint.bus.adapters.postgres_wake import Wakes
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusLost, BusRefused
from mergepoint.core.clock import Clock

POOL_MAX = 4
"""Calls of one process that run at the same time; others wait their turn within `call_s`."""
POOL_CLOSE_S = 1.0
RETRY_S_MIN = 0.05
UNHEARD_MAX = 2
"""Own beats that may go unheard. Counted, not timed: a process that was paused has missed none."""
SEVERED_S = 0.2
"""How long duties have to notice that their connection is severed, before they are cancelled."""
PROCESS_LOCK = 1836016706
"""First half of the advisory lock of a process; its number is the other."""
WAKE_S = 0.002
"""Pause between two signals: what comes in between goes with the next one."""
PLANS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
    }.items()
)
"""Every hot query walks an index in its order. A queue grows and shrinks faster than statistics are
taken, and for a LIMIT that is a variable the planner expects a tenth of the table."""
TRIES_MAX = 5
"""How often a transaction is tried that the server undoes for the sake of another one."""
UNDONE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
log = logging.getLogger("mergepoint.bus.postgresql")
T = TypeVar("T")
Work = Callable[[psycopg.AsyncConnection], Awaitable[T]]

Row = tuple[Any, ...]  # Any: columns, typed by whoever asks
Parameters = Sequence[object] | Mapping[str, object]
Restore = Callable[[], Awaitable[None]]


class Link:
    """One process's way to the server: `call` it, `signal` others, be told with `on_note`."""

    def __init__(self, url: str, limits: Limits, clock: Clock, address: str) -> None:
        self.limits = limits
        self.clock = clock
        self.address = address
        self.number = 0
        self.on_note: Callable[[str, str], None] = lambda _channel, _payload: None
        self.on_beat: Restore = _nothing
        self.restores: list[Restore] = []
        self._url = url
        self._parameters = _parameters(limits, address)
        self.where = _where(url)
        self._pool: AsyncConnectionPool | None = None
        self._listener: psycopg.AsyncConnection | None = None
        self._signaller: psycopg.AsyncConnection | None = None
        self._busy: set[psycopg.AsyncConnection] = set()
        self._connected = asyncio.Event()
        self._wakes = Wakes()
        self._unheard = 0
        self._on_state: OnState = lambda _state, _reason: None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._suspect = asyncio.Event()

    async def open(self, on_state: OnState) -> None:
        """Connect, make the schema, and stay connected from now on; see `Engine.open`."""
        self._on_state = on_state
        on_state(State.CONNECTING, self.where)
        try:
            async with asyncio.timeout(2 * self.limits.call_s):
                await self._connect()
        except (psycopg.Error, BusError, TimeoutError, PoolTimeout) as error:
            await self._disconnect()
            raise self._told(error) from None
        self._say_connected()
        self._task = asyncio.create_task(self._keep(), name="postgresql link")

    async def close(self) -> None:
        """Let every connection go; calls end with `BusClosed`."""
        if self._closed:
            return
        self._closed = True
        self._connected.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()
        self._on_state(State.CLOSED, "closed")

    async def call(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, which is one transaction, as `together`; raise the bus's errors."""
        try:
            async with asyncio.timeout(self.limits.call_s):
                for _ in range(TRIES_MAX - 1):
                    with contextlib.suppress(*UNDONE):
                        return await self._call(sql, parameters)
                return await self._call(sql, parameters)
        except (psycopg.Error, TimeoutError, PoolTimeout) as error:
            raise self._failed(error) from None

    async def together(self, work: Work[T], *, pipelined: bool = False) -> T:
        """Run this in one transaction within `call_s`; raise the bus's errors.

        `pipelined`: statements go out before the answers to earlier ones have come.
        What the server undoes for a deadlock is run anew, at most `TRIES_MAX` times.
        """
        try:
            async with asyncio.timeout(self.limits.call_s):
                for _ in range(TRIES_MAX - 1):
                    with contextlib.suppress(*UNDONE):
                        return await self._together(work, pipelined)
                return await self._together(work, pipelined)
        except (psycopg.Error, TimeoutError, PoolTimeout) as error:
            raise self._failed(error) from None

    def signal(self, channel: str, name: str) -> None:
        """Wake whoever listens there, soon and together with others."""
        self._wakes.add(channel, name)

    async def _call(self, sql: str, parameters: Parameters) -> list[Row]:
        async with self._lent() as connection:
            cursor = await connection.execute(sql, parameters, prepare=True)
            return await cursor.fetchall() if cursor.description else []

    async def _together(self, work: Work[T], pipelined: bool) -> T:
        async with self._lent() as connection, contextlib.AsyncExitStack() as stack:
            if pipelined:
                await stack.enter_async_context(connection.pipeline())
            async with connection.transaction():
                return await work(connection)

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[psycopg.AsyncConnection]:
        await self._connected.wait()
        if self._closed:
            raise BusClosed("the bus was closed in this process")
        pool = self._pool
        assert pool is not None  # noqa: S101 - set before `_connected` is
        async with pool.connection() as connection:
            self._busy.add(connection)
            try:
                yield connection
            finally:
                self._busy.discard(connection)

    def _failed(self, error: psycopg.Error | TimeoutError | PoolTimeout) -> BusError:
        """Return what a call raises; a broken connection makes the others be looked at, too."""
        if self._closed:
            return BusClosed("the bus was closed in this process")
        if isinstance(error, psycopg.Error) and breaks_connection(error):
            self._suspect.set()
        return self._told(error)

    # --- staying connected ------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            reason = await self._until_lost()
            log.warning("connection to PostgreSQL at %s lost: %s", self.where, reason)
            self._connected.clear()
            self._on_state(State.LOST, reason)
            await self._disconnect()
            await self._reconnect()
            self._say_connected()

    async def _until_lost(self) -> str:
        duties = [
            asyncio.create_task(one) for one in (self._listen(), self._beat(), self._send_wakes())
        ]
        try:
            await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            self._sever()
            await asyncio.wait(duties, timeout=SEVERED_S)
        finally:
            for duty in duties:
                duty.cancel()
            ended = await asyncio.gather(*duties, return_exceptions=True)
        failures = [one for one in ended if isinstance(one, Exception)]
        return str(self._told(failures[0])) if failures else "the connection ended"

    def _sever(self) -> None:
        """Let whatever waits for the server fail now.

        Cancelling would ask the server to cancel, and wait for a server that may be silent.
        """
        for connection in (self._listener, self._signaller, *self._busy):
            if connection is not None and not connection.closed:
                with (
                    contextlib.suppress(OSError),
                    socket.socket(fileno=os.dup(connection.fileno())) as end,
                ):
                    end.shutdown(socket.SHUT_RDWR)

    async def _reconnect(self) -> None:
        pause_s = RETRY_S_MIN
        while True:
            try:
                async with asyncio.timeout(2 * self.limits.call_s):
                    await self._connect()
                    for restore in self.restores:
                        await restore()
            except (psycopg.Error, BusError, TimeoutError, PoolTimeout, OSError) as error:
                log.info("no connection to PostgreSQL yet: %s", self._told(error))
                self._connected.clear()
                await self._disconnect()
                await self.clock.sleep(pause_s)
                pause_s = min(pause_s * 2, self.limits.reconnect_s_max)
            else:
                return

    async def _connect(self) -> None:
        self._listener = await self._connection()
        await migrate(self._listener)
        self._signaller = await self._connection()
        if not self.number:
            self.number = (await self._ask("SELECT nextval('mergepoint.process_number')"))[0]
        await self._listener.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", (PROCESS_LOCK, self.number)
        )
        await self._listener.execute("LISTEN mergepoint")
        await self._listener.execute(f"LISTEN mergepoint_{int(self.number)}")
        await self._register()
        self._pool = AsyncConnectionPool(
            self._url,
            kwargs={"autocommit": True, **self._parameters},
            min_size=1,
            max_size=POOL_MAX,
            timeout=self.limits.call_s,
            check=_unbroken,
            open=False,
        )
        await self._pool.open(wait=True, timeout=self.limits.call_s)
        self._unheard = 0
        self._suspect.clear()
        self._connected.set()

    async def _register(self) -> None:
        await self._ask(
            "INSERT INTO mergepoint.process (number, address, heartbeat_s, beat_at)"
            " VALUES (%s, %s, %s, mergepoint.unix_now())"
            " ON CONFLICT (number) DO UPDATE SET beat_at = excluded.beat_at RETURNING number",
            (self.number, self.address, self.limits.heartbeat_s),
        )

    async def _connection(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._parameters)

    async def _disconnect(self) -> None:
        pool, self._pool = self._pool, None
        singles = (self._listener, self._signaller)
        self._listener = self._signaller = None
        for connection in singles:
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    await connection.close()
        if pool is not None:
            await pool.close(timeout=POOL_CLOSE_S)

    # --- duties of a connected link ---------------------------------------------------------------

    async def _listen(self) -> None:
        assert self._listener is not None  # noqa: S101 - set by `_connect`
        async for note in self._listener.notifies():
            self._unheard = 0
            if note.payload != "beat":
                self.on_note(note.channel, note.payload)

    async def _beat(self) -> None:
        """Beat, and expect to hear the own beat: both connections are seen to work by that."""
        every_s = self.limits.heartbeat_s
        while True:
            asking = asyncio.create_task(self._be_known())
            for _ in range(2):
                # Twice: a process that was paused finds its time over before it has looked.
                done, _ = await asyncio.wait({asking}, timeout=every_s)
                if done:
                    break
            else:
                asking.add_done_callback(_swallow)
                raise BusLost(f"PostgreSQL at {self.where}: no answer for {2 * every_s:g} s")
            await asking
            self._unheard += 1
            if self._unheard > UNHEARD_MAX:
                raise BusLost(f"PostgreSQL at {self.where}: it tells nothing any more")
            await self.on_beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._suspect.wait()
                    self._suspect.clear()

    async def _be_known(self) -> None:
        known = (await self._ask("SELECT mergepoint.beat(%s)", (self.number,)))[0]
        if not known:
            await self._register()
            for restore in self.restores:
                await restore()

    async def _send_wakes(self) -> None:
        while True:
            channels, payloads = await self._wakes.next()
            await self._ask(
                "SELECT count(pg_notify(c, p)) FROM unnest(%s::text[], %s::text[]) AS w(c, p)",
                (channels, payloads),
            )
            await self.clock.sleep(WAKE_S)

    async def _ask(self, sql: str, parameters: Sequence[object] = ()) -> Row:
        assert self._signaller is not None  # noqa: S101 - set by `_connect`
        cursor = await self._signaller.execute(sql, parameters)
        row = await cursor.fetchone()
        return row if row is not None else (None,)

    def _say_connected(self) -> None:
        self._on_state(State.CONNECTED, self.where)

    def _told(self, error: BaseException) -> BusError:
        if isinstance(error, BusError):
            return error
        if isinstance(error, psycopg.Error):
            return translate(error, self.where)
        return BusLost(
            f"PostgreSQL at {self.where} did not answer within {self.limits.call_s:g} s",
            next="see whether the server runs",
        )


def _swallow(task: asyncio.Task[None]) -> None:
    """Take note of how an abandoned heartbeat ended; nobody else does."""
    if not task.cancelled():
        task.exception()


async def _nothing() -> None:
    """Do nothing at a beat."""


async def _unbroken(connection: psycopg.AsyncConnection) -> None:
    """Refuse an idle connection that has something to say: that can only be its end."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
    if poll.poll(0):
        await connection.close()
        raise psycopg.OperationalError("the server ended this connection while it was idle")


def _parameters(limits: Limits, address: str) -> dict[str, Any]:
    """Return what every connection is made with, beside the url."""
    silence_ms = int(2000 * limits.heartbeat_s)
    return {
        "connect_timeout": max(2, int(limits.call_s)),
        "application_name": f"mergepoint {address}".strip(),
        "options": f"-c statement_timeout={int(1000 * limits.call_s)} {PLANS}",
        "keepalives_idle": max(1, int(limits.heartbeat_s)),
        "keepalives_interval": max(1, int(limits.heartbeat_s)),
        "keepalives_count": 2,
        "tcp_user_timeout": silence_ms,
    }


def _where(url: str) -> str:
    """Name the server and database without user and password."""
    try:
        told = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise BusRefused(
            "the bus's url is no PostgreSQL address", next="postgresql://user@host/database"
        ) from None
    return f"{told.get('host', 'localhost')}/{told.get('dbname', '')}"
