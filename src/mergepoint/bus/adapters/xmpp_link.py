"""The connection of one process to the site's account: made, watched, lost, made again.

Place:  bus.adapters.xmpp* -> [xmpp_link] -> slixmpp
Rule:   every connection is a new client; each part of the adapter attaches itself to it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from xml.etree.ElementTree import Element

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from mergepoint.bus.adapters.xmpp_stanza import EVENT, OWN, Settings
from mergepoint.bus.contract import Limits, OnState, State
from mergepoint.bus.errors import BusClosed, BusError, BusFull, BusLost, BusRefused
from mergepoint.core.clock import Clock

CONNECT_PAUSE_S = 0.05
"""The first pause between two attempts; it doubles up to `Limits.reconnect_s_max`."""
FULL = {"resource-constraint", "policy-violation"}
Restore = Callable[[], Awaitable[None]]
Verb = Literal["get", "set"]
OnStanza = Callable[[Any], None]  # Any: slixmpp's stanzas are dictionaries of XML


class Link:
    """One connection at a time, under a resource of its own."""

    def __init__(self, settings: Settings, limits: Limits, clock: Clock) -> None:
        self.settings = settings
        self.limits = limits
        self.clock = clock
        self.jid = f"{settings.account}/{uuid.uuid4().hex[:16]}"
        self.restores: list[Restore] = []
        """Awaited with every new connection after the first, in this order."""
        self.on_presence: OnStanza = lambda _stanza: None
        self.on_event: OnStanza = lambda _stanza: None
        self.on_ask: OnStanza = lambda _stanza: None
        self._client: ClientXMPP | None = None
        self._there = asyncio.Event()
        self._gone = asyncio.Event()
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._on_state: OnState = lambda _state, _reason: None

    async def open(self, on_state: OnState) -> None:
        """Connect, or say why not."""
        self._on_state = on_state
        on_state(State.CONNECTING, self.settings.host)
        await self._connect()
        self._there.set()
        on_state(State.CONNECTED, self.settings.host)
        self._tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._beat())]

    async def close(self) -> None:
        """Disconnect for good; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._cancel()
        if self._client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._client.disconnect(wait=0.2)
            self._client.abort()
        self._gone.set()
        self._there.set()
        self._on_state(State.CLOSED, "closed")

    def vanish(self) -> None:
        """Cut the wire without a word, as the end of the process would."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._client is not None:
            self._client.abort()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as is known."""
        return self._there.is_set() and not self._closed

    def alive(self) -> None:
        """Raise `BusClosed` after `close`."""
        if self._closed:
            raise BusClosed("this connection to the bus was closed")

    async def client(self) -> ClientXMPP:
        """Return the connected client; wait for one `call_s` at most."""
        self.alive()
        try:
            async with asyncio.timeout(self.limits.call_s):
                await self._there.wait()
        except TimeoutError:
            raise self._lost() from None
        self.alive()
        return self._present()

    async def ask(self, to: str, verb: Verb, element: Element, timeout_s: float = 0.0) -> Any:
        """Return the result of an IQ; raise `IqError`, or `BusLost` without an answer."""
        return await self._iq(await self.client(), to, verb, element, timeout_s)

    async def ask_now(self, to: str, verb: Verb, element: Element) -> Any:
        """Ask on a connection that is only being attached to; see `restores`."""
        return await self._iq(self._present(), to, verb, element, 0.0)

    async def settle(self) -> None:
        """Return when the server has done what was sent before, and its messages have come."""
        await self.ask_now(self.settings.domain, "get", Element("{urn:xmpp:ping}ping"))

    def presence(self, status: str, element: Element) -> None:
        """Tell the account's other processes, and people who may see it, what is here."""
        stanza = self._present().make_presence(ppriority=-1, pstatus=status)
        stanza.append(element)
        stanza.send()

    def told(self, error: IqError) -> BusError:
        """Return what a caller is told of a refused IQ."""
        words = f"xmpp: {error.condition} {error.text or ''}".strip()
        return BusFull(words) if error.condition in FULL else BusRefused(words)

    def _present(self) -> ClientXMPP:
        if self._client is None:
            raise BusLost("xmpp: asked before open returned")
        return self._client

    async def _iq(
        self, client: ClientXMPP, to: str, verb: Verb, element: Element, timeout_s: float
    ) -> Any:
        iq = client.make_iq(ito=to, itype=verb)
        iq.append(element)
        sending = iq.send(timeout=timeout_s or self.limits.call_s)  # type: ignore[no-untyped-call]
        asking = asyncio.ensure_future(sending)
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                self.alive()
                raise self._lost()
            return asking.result()
        except IqTimeout:
            raise self._lost() from None
        finally:
            gone.cancel()
            asking.cancel()

    async def _connect(self) -> None:
        client = ClientXMPP(self.jid, self.settings.password)
        client.enable_direct_tls = False
        client.enable_starttls = self.settings.tls
        client.enable_plaintext = not self.settings.tls
        if not self.settings.tls:
            client.plugin["feature_mechanisms"].unencrypted_scram = True
        gone = asyncio.Event()  # of this connection alone: one that ends at once is not missed
        outcome: asyncio.Future[BusError | None] = asyncio.get_running_loop().create_future()

        def end(error: BusError | None) -> None:
            if not outcome.done():
                outcome.set_result(error)

        def on_disconnected(_event: object) -> None:
            end(self._lost())
            gone.set()

        refused = BusRefused(
            f"xmpp at {self.settings.host} refused {self.settings.account}",
            next="account and password of the bus's url; TLS",
        )
        client.add_event_handler("session_start", lambda _event: end(None))
        client.add_event_handler("failed_all_auth", lambda _event: end(refused))
        client.add_event_handler("failed_auth", lambda _event: end(refused))
        client.add_event_handler("connection_failed", lambda _event: end(self._lost()))
        client.add_event_handler("disconnected", on_disconnected)
        self._register(client)
        client.connect(self.settings.host, self.settings.port)
        try:
            async with asyncio.timeout(self.limits.call_s):
                error = await outcome
                if error is None:
                    await client.get_roster()
        except (TimeoutError, IqError, IqTimeout):
            error = self._lost()
        if error is not None:
            client.cancel_connection_attempt()
            client.abort()
            raise error
        self._client, self._gone = client, gone

    def _register(self, client: ClientXMPP) -> None:
        namespace = client.default_ns
        paths = {
            "presence": (f"{{{namespace}}}presence", self.on_presence),
            "event": (f"{{{namespace}}}message/{{{EVENT}}}event", self.on_event),
            "ask": (f"{{{namespace}}}iq/{{{OWN}}}ask", self.on_ask),
        }
        for name, (path, call) in paths.items():
            client.register_handler(Callback(f"mergepoint {name}", MatchXPath(path), call))

    async def _beat(self) -> None:
        """Ask for a sign of life; a server that gives none is lost."""
        while True:
            await asyncio.sleep(self.limits.heartbeat_s)
            if not self.connected:
                continue
            ping = Element("{urn:xmpp:ping}ping")
            try:
                await self._iq(
                    self._present(), self.settings.domain, "get", ping, self.limits.heartbeat_s
                )
            except IqError:
                continue  # an answer, though it knows no pings
            except BusError:
                self._gone.set()

    async def _supervise(self) -> None:
        while True:
            await self._gone.wait()
            self._there.clear()
            self._on_state(State.LOST, self.settings.host)
            self._present().abort()
            await self._again()
            self._there.set()
            self._on_state(State.CONNECTED, self.settings.host)

    async def _again(self) -> None:
        pause_s = CONNECT_PAUSE_S
        while True:
            with contextlib.suppress(BusError, IqError, IqTimeout, TimeoutError):
                await self._connect()
                for restore in self.restores:
                    await restore()
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self.limits.reconnect_s_max)

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _lost(self) -> BusLost:
        return BusLost(
            f"xmpp at {self.settings.host}:{self.settings.port} did not answer within"
            f" {self.limits.call_s:g} s; what was asked may have happened",
            next="is the server running, and is the port that of its clients?",
        )
