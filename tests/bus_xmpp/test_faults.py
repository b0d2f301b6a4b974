"""The server restarts, stands still or refuses; people see who is there and read alerts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from mergepoint_testkit.bus import acting
from mergepoint_testkit.bus.acting import PATIENCE_S, Watched, echo, insist, message
from mergepoint_testkit.prosody import ProsodyServer, running_prosody
from slixmpp import JID, ClientXMPP

from mergepoint.bus.adapters.xmpp import XmppEngine
from mergepoint.bus.adapters.xmpp_stanza import MESSAGE_BYTES_MAX, settings_of
from mergepoint.bus.contract import Change, Gap, Limits, State
from mergepoint.bus.errors import BusLost, BusRefused, MessageTooLarge, NoSuchAddress
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

LIMITS = Limits(heartbeat_s=0.5, reconnect_s_max=0.5, call_s=3.0)
FRESH_S = 5.0
PERSON, PASSWORD = "alice", "alice-secret"


@pytest.fixture
def server() -> Iterator[ProsodyServer]:
    """A server of the test's own."""
    with running_prosody({PERSON: PASSWORD}) as one:
        yield one


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[XmppEngine, Watched[XmppEngine]]]:
    """Give an engine and what it told of its state."""
    async with acting.opened(XmppEngine(url, LIMITS, SystemClock())) as watched:
        yield watched.engine, watched


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_everything_comes_back_soon_after_the_server(server: ProsodyServer, fault: str) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        async with opened(server.url()) as (engine, told), opened(server.url()) as (other, seen):
            listening = aiter(await engine.subscribe("news.*"))
            await engine.serve("search", echo)
            await engine.join("search/0", {"version": "3"})
            changes = aiter(await other.watch("search"))
            assert (await anext(changes)).change is Change.JOINED
            await asyncio.to_thread(getattr(server, fault))
            await told.reaches(State.LOST)
            await seen.reaches(State.LOST)
            await asyncio.to_thread(server.start)
            back = loop.time()
            await told.reaches(State.CONNECTED)
            await seen.reaches(State.CONNECTED)
            await insist(lambda: other.publish("news.a", message(b"1")))
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(listening) == Gap(0)
                got = await anext(listening)
            took_s = loop.time() - back
            assert isinstance(got, Message)
            assert got.data == b"1"
            answer = await other.request("search", message(b"q"), timeout_s=PATIENCE_S)
            assert answer.data == b"q"
            late = aiter(await other.watch("search"))
            async with asyncio.timeout(PATIENCE_S):
                assert (await anext(late)).member.address == "search/0"
            return took_s

    took_s = asyncio.run(story())
    print(f"back after {took_s:.2f} s")
    assert took_s < FRESH_S


def test_a_server_that_stands_still_is_lost_and_found_again(server: ProsodyServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, told):
            listening = aiter(await engine.subscribe("news"))
            server.pause()
            await told.reaches(State.LOST)
            with pytest.raises(BusLost):
                await engine.publish("news", message(b"1"))
            server.resume()
            await told.reaches(State.CONNECTED)
            await engine.publish("news", message(b"2"))
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(listening) == Gap(0)
                got = await anext(listening)
            assert isinstance(got, Message)

    asyncio.run(story())


def test_a_wrong_password_is_refused_and_not_repeated(server: ProsodyServer) -> None:
    async def story() -> None:
        engine = XmppEngine(server.url(password="wrong-secret"), LIMITS, SystemClock())
        with pytest.raises(BusRefused) as caught:
            await engine.open(lambda _state, _reason: None)
        assert "wrong-secret" not in str(caught.value)
        assert caught.value.next

    asyncio.run(story())


def test_nobody_there_is_lost(server: ProsodyServer) -> None:
    server.stop()

    async def story() -> None:
        with pytest.raises(BusLost, match="not answer"):
            await XmppEngine(server.url(), LIMITS, SystemClock()).open(lambda _s, _r: None)

    asyncio.run(story())


def test_a_message_over_64_kib_is_told_before_it_is_sent(server: ProsodyServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, _):
            assert engine.capabilities.message_bytes_max == MESSAGE_BYTES_MAX == 65536
            await engine.publish("a", message(b"x" * MESSAGE_BYTES_MAX))
            with pytest.raises(MessageTooLarge, match="65536"):
                await engine.publish("a", message(b"x" * (MESSAGE_BYTES_MAX + 1)))

    asyncio.run(story())


class Person:
    """Somebody with a chat client: what it shows and what it got."""

    def __init__(self, server: ProsodyServer) -> None:
        self.client = ClientXMPP(f"{PERSON}@localhost/phone", PASSWORD)
        self.client.enable_direct_tls = self.client.enable_starttls = False
        self.client.enable_plaintext = True
        self.client.plugin["feature_mechanisms"].unencrypted_scram = True
        self.shown: dict[str, str] = {}
        self.texts: list[str] = []
        self._port = server.port
        self._changed = asyncio.Event()
        self._started = asyncio.Event()
        self.client.add_event_handler("session_start", lambda _event: self._started.set())
        self.client.add_event_handler("presence_available", self._available)
        self.client.add_event_handler("presence_unavailable", self._unavailable)
        self.client.add_event_handler("message", self._message)

    async def open(self) -> None:
        """Log in and ask to see the site."""
        self.client.connect("127.0.0.1", self._port)
        async with asyncio.timeout(PATIENCE_S):
            await self._started.wait()
            await self.client.get_roster()
        self.client.send_presence()
        self.client.send_presence_subscription(pto=JID("site@localhost"))

    async def until(self, seen: Callable[[], bool]) -> None:
        """Wait until it is shown."""
        async with asyncio.timeout(PATIENCE_S):
            while not seen():
                self._changed.clear()
                await self._changed.wait()

    def _available(self, presence: object) -> None:
        if presence["from"].bare == "site@localhost":  # type: ignore[index]
            self.shown[str(presence["from"])] = presence["status"]  # type: ignore[index]
            self._changed.set()

    def _unavailable(self, presence: object) -> None:
        self.shown.pop(str(presence["from"]), None)  # type: ignore[index]
        self._changed.set()

    def _message(self, got: object) -> None:
        self.texts.append(got["body"])  # type: ignore[index]
        self._changed.set()


def test_a_person_sees_which_apps_are_there_and_reads_alerts(server: ProsodyServer) -> None:
    async def story() -> None:
        async with opened(server.url()) as (engine, _), opened(server.url()) as (other, _):
            await engine.join("tickets/0", {})
            person = Person(server)
            await person.open()
            await person.until(lambda: "tickets/0" in person.shown.values())
            await other.join("wiki/0", {})
            await person.until(lambda: "wiki/0" in person.shown.values())
            await other.publish("mp.alerts", message(b'{"text": "the disk is nearly full"}'))
            await person.until(lambda: person.texts == ["the disk is nearly full"])
            other.vanish()
            await person.until(lambda: "wiki/0" not in person.shown.values())
            assert "tickets/0" in person.shown.values()
            await person.client.disconnect(wait=0.2)

    asyncio.run(story())


def test_a_person_may_not_ask_what_apps_ask_each_other(server: ProsodyServer) -> None:
    """Only the account's own processes are answered: a person's client gets an error."""

    async def story() -> None:
        from slixmpp.exceptions import IqError

        from mergepoint.bus.adapters.xmpp_stanza import OWN, packed

        async with opened(server.url()) as (engine, _):
            await engine.serve("search", echo)
            person = Person(server)
            await person.open()
            await person.until(lambda: bool(person.shown))
            iq = person.client.make_iq_set(ito=JID(next(iter(person.shown))))
            from xml.etree.ElementTree import Element

            ask = Element(f"{{{OWN}}}ask", {"address": "search"})
            ask.append(packed(message(b"1")))
            iq.append(ask)
            with pytest.raises(IqError):
                await iq.send(timeout=PATIENCE_S)
            with pytest.raises(NoSuchAddress):
                await engine.request("elsewhere", message(b"1"), timeout_s=PATIENCE_S)
            await person.client.disconnect(wait=0.2)

    asyncio.run(story())


def test_tls_is_demanded_unless_it_is_this_machine() -> None:
    assert settings_of("xmpp://site:s@chat.example.org/").tls
    assert not settings_of("xmpp://site:s@127.0.0.1/localhost").tls
    assert not settings_of("xmpp://site:s@chat.example.org/?tls=no").tls


@pytest.mark.parametrize(
    "url", ["xmpp://host", "xmpp://site@host", "xmpp://s:p@host:x/", "xmpp://s:p@host/?tsl=no"]
)
def test_an_url_that_says_nonsense_is_refused(url: str) -> None:
    with pytest.raises(BusRefused):
        settings_of(url)
