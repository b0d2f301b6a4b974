"""The connection to one server: opened, watched, lost, made again.

Place:  adapters.redis.engine -> [link] -> redis-py
Rule:   one task decides whether the server is there; every call is bounded and retried by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis import exceptions as theirs
from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from mergepoint.bus.adapters.redis import carried, facts, scripts
from mergepoint.bus.adapters.redis.failures import is_lost, translated
from mergepoint.bus.adapters.redis.listening import Listening
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusLost, BusRefused
from mergepoint.core.clock import Clock

CONNECTIONS_MAX = 16
"""Calls of one process that are under way at once; more wait, `call_s` at most."""
BEATS = 2.5
"""Heartbeats after which a silent process is given up."""
PREFIX = "mergepoint:"
PREFIX_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:.")


class Link:
    """One process's connection, with an identity of its own that no other ever had."""

    def __init__(self, url: str, limits: Limits, clock: Clock) -> None:
        address, self.prefix = _split(url)
        parts = urlsplit(address)
        self.where = f"{parts.hostname or parts.path}:{parts.port or 6379}"
        self.limits = limits
        self.clock = clock
        self.owner = uuid.uuid4().hex
        self.facts: facts.Facts | None = None
        self.state = State.CONNECTING
        self.listening = Listening(2 * limits.heartbeat_s)
        self.restored: list[Callable[[], Awaitable[None]]] = []
        """Called before a new connection is told, and when this process was given up by others."""
        self.missed: list[Callable[[], None]] = []
        """Called when something may have been pushed that nobody heard."""
        self.changed = asyncio.Event()
        """Set whenever the state changes; whoever waits clears nothing, it is replaced."""
        self._address = address
        self._on_state: OnState = lambda _state, _reason: None
        self._suspected = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._shas = {name: _sha(name) for name in scripts.NAMES}
        self._pool = _pool(address, limits)
        self._client = Redis(connection_pool=self._pool)
        self.listening.on_end = self._suspected.set

    async def open(self, on_state: OnState) -> None:
        """Connect; raises `BusLost` or `BusRefused`."""
        self._on_state = on_state
        on_state(State.CONNECTING, self.where)
        try:
            await self._connect()
        except BaseException as error:
            await self.cut()
            if isinstance(error, Exception):
                raise translated(error, self.where) from error
            raise
        self._tell(State.CONNECTED, self.where)
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Give back what is held, without counting it, and disconnect."""
        if self.state is State.CLOSED:
            return
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(self.limits.call_s):
                while self.state is State.CONNECTED and not await self._beat(leaving=True):
                    pass
        self.state = State.CLOSED  # from here on nobody connects again
        await self.cut()
        self._tell(State.CLOSED, "closed")

    async def cut(self) -> None:
        """Disconnect without a word."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self.listening.stop()
        with contextlib.suppress(Exception):  # whatever a dead pool says of its end
            await self._pool.disconnect(inuse_connections=True)

    async def run(self, name: str, asked: dict[str, Any], *bodies: bytes) -> Any:  # Any: RESP
        """Run a script; raises errors of the bus alone."""
        arguments = [0, self.prefix, carried.dumped(asked), *bodies]
        try:
            return await self.command("EVALSHA", self._shas[name], *arguments)
        except theirs.NoScriptError:
            # A server that was restarted or flushed forgets scripts; it keeps those it was sent.
            return await self.command("EVAL", scripts.source(name), *arguments)

    async def command(self, *words: Any) -> Any:  # Any: RESP both ways
        """Send one command; raises errors of the bus, and `NoScriptError`."""
        if self.state is State.CLOSED:
            raise BusClosed("this connection to the bus was closed")
        if self.state is State.LOST:
            raise BusLost(f"redis at {self.where} does not answer; connecting again")
        try:
            async with asyncio.timeout(self.limits.call_s):
                return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        except theirs.NoScriptError:
            raise
        except TimeoutError as error:
            self._suspected.set()
            raise BusLost(
                f"redis at {self.where} did not answer in {self.limits.call_s:g} s"
            ) from error
        except (theirs.RedisError, OSError) as error:
            if is_lost(error):
                self._suspected.set()
            raise translated(error, self.where) from error

    async def listen(
        self, name: str, handler: Callable[[bytes, bytes], None], *, pattern: bool = False
    ) -> None:
        """Listen to a channel of this prefix; raises `BusLost`."""
        if self.state is State.CLOSED:
            raise BusClosed("this connection to the bus was closed")
        try:
            async with asyncio.timeout(self.limits.call_s):
                await self.listening.add(self.prefix + name, handler, pattern=pattern)
        except (theirs.RedisError, OSError, TimeoutError) as error:
            self._suspected.set()
            raise translated(error, self.where) from error

    async def unlisten(self, name: str, *, pattern: bool = False) -> None:
        """Stop listening; what cannot be said any more is not."""
        with contextlib.suppress(theirs.RedisError, OSError, TimeoutError):
            await self.listening.remove(self.prefix + name, pattern=pattern)

    async def _connect(self) -> None:
        """Look at the server, listen, and give the first sign of life."""
        async with asyncio.timeout(self.limits.call_s):
            found = facts.read(await self._client.info(), await self._syncing())
            facts.check(found, self.where)
            self.facts = found
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            await self.listening.start(connection)
            state, self.state = self.state, State.CONNECTED
            try:
                await self._beat()
            except BaseException:
                self.state = state
                raise

    async def _syncing(self) -> str:
        try:
            answer = await self._client.config_get("appendfsync")
        except theirs.ResponseError:
            return ""  # a provider that hides CONFIG
        return str(answer.get("appendfsync", ""))

    async def _beat(self, *, leaving: bool = False) -> bool:
        """Give a sign of life; True: given up meanwhile, or, leaving, all was given back."""
        asked = {
            "owner": self.owner,
            "ttl_ms": carried.milliseconds(BEATS * self.limits.heartbeat_s),
            "leaving": leaving,
            **carried.bounds(self.limits),
        }
        return bool(await self.run("beat", asked))

    async def _watch(self) -> None:
        """Live as long as the engine: beat while the server is there, come back when it is."""
        while True:
            reason = await self._beating()
            self._tell(State.LOST, reason)
            await self._reconnect()
            self._tell(State.CONNECTED, self.where)

    async def _beating(self) -> str:
        """Return why the connection is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await self._suspected.wait()
            self._suspected.clear()
            if not self.listening.alive:
                return f"redis at {self.where} closed the connection"
            try:
                async with asyncio.timeout(self.limits.heartbeat_s):
                    await self.listening.ping()
                    if await self._beat():
                        await self._restore()
            except TimeoutError:
                return f"redis at {self.where} missed two heartbeats"
            except (BusError, theirs.RedisError, OSError) as error:
                return str(error)

    async def _reconnect(self) -> None:
        pause_s = 0.05
        while True:
            if await self.listening.stop():
                for missed in self.missed:
                    missed()
            await self._pool.disconnect(inuse_connections=True)
            try:
                await self._connect()
                await self._restore()
            except (TimeoutError, BusError, theirs.RedisError, OSError) as error:
                self.state = State.LOST
                self._on_state(State.LOST, str(translated(error, self.where)))
            else:
                self._suspected.clear()
                return
            # S311: a pause that spreads reconnections is no secret.
            await self.clock.sleep(pause_s * (0.5 + random.random() / 2))  # noqa: S311
            pause_s = min(2 * pause_s, self.limits.reconnect_s_max)

    async def _restore(self) -> None:
        for restore in self.restored:
            await restore()

    def _tell(self, state: State, reason: str) -> None:
        self.state = state
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        self._on_state(state, reason)


def _split(url: str) -> tuple[str, str]:
    """Return the address without our own parameter, and the prefix of every key."""
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    prefix = parameters.pop("prefix", PREFIX)
    if not prefix or not set(prefix) <= PREFIX_CHARACTERS:
        raise BusRefused(f"prefix {prefix!r} of the bus's url: letters, digits and _ - : . alone")
    return parts._replace(query=urlencode(parameters)).geturl(), prefix


def _pool(address: str, limits: Limits) -> BlockingConnectionPool:
    try:
        return BlockingConnectionPool.from_url(
            address,
            max_connections=CONNECTIONS_MAX,
            timeout=limits.call_s,
            socket_timeout=None,
            socket_connect_timeout=limits.call_s,
            # Nothing is sent twice behind the caller's back: only the caller knows whether it may.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except (ValueError, TypeError) as error:
        raise BusRefused(f"the bus's url is no address of a redis: {error}") from error


def _sha(name: str) -> str:
    return hashlib.sha1(scripts.source(name).encode(), usedforsecurity=False).hexdigest()
