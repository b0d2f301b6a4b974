"""A site as its apps see it: `mergepoint.connect()`.

Place:  apps, tasks.runner -> [assembly.connect] -> bus.doorway, an engine, the ledger
Rule:   reads the environment once and opens nothing: the first use connects. Offered to apps'
        own environments, so it imports the standard library, bus, data, feed, tasks, wire and core
        alone.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from mergepoint.bus import context
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Engine, Limits
from mergepoint.bus.doorway import Bus, Parts
from mergepoint.bus.errors import BusRefused
from mergepoint.bus.joining import Joined
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.data.config import VARIABLE as DATABASES
from mergepoint.data.config import Database, databases_of

if TYPE_CHECKING:
    from mergepoint.bus.adapters.hub import HubEngine
    from mergepoint.data.site import Data
    from mergepoint.feed.handlers import Feed
    from mergepoint.feed.positions import Positions
    from mergepoint.tasks.contract import Ledger
    from mergepoint.tasks.declare import Tasks
    from mergepoint.testing.site import Testing

Answer = TypeVar("Answer")
VARIABLE = "MERGEPOINT_BUS"
DEFAULT_ADDRESS = ""
QUERIES = "queries-"
"""Beginning of the files beside a worker's socket that say what was seen of its queries."""

_lock = threading.Lock()
_connected: Site | None = None


@dataclass(frozen=True)
class Document:
    """What `MERGEPOINT_BUS` says."""

    url: str = field(repr=False)
    """The engine; may hold a password."""
    hub: str = ""
    """Where the ledger of tasks is."""
    site: str = ""
    address: str = DEFAULT_ADDRESS
    serializer: str = "json"
    serializer_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=Limits)
    token_file: str = ""


class Site:
    """One site, from one process: its bus and its tasks."""

    def __init__(
        self,
        document: Document,
        clock: Clock,
        *,
        parts: Parts | None = None,
        make_ledger: Callable[[], Awaitable[Ledger]] | None = None,
        databases: Sequence[Database] = (),
        development: bool = False,
        record_file: Path | None = None,
    ) -> None:
        self.document = document
        self._databases = tuple(databases)
        self._development = development
        self._record_file = record_file
        self.clock = clock
        self.codec = Codec(document.serializer, document.serializer_options, clock)
        made = parts or parts_of(document, clock, self.codec)
        self.bus = Bus(replace(made, join=self._join))
        self._belongs = False
        self._make_ledger = make_ledger
        self._ledger: tuple[Engine, Ledger] | None = None
        self._hub: HubEngine | None = None

    @property
    def name(self) -> str:
        """The site's name."""
        return self.document.site

    @property
    def address(self) -> str:
        """Who this process is: `tickets/0`; empty outside of a site's processes."""
        return self.document.address

    @cached_property
    def tasks(self) -> Tasks:
        """Declare tasks and ask for them."""
        from mergepoint.tasks.declare import Tasks

        self._belong()
        return Tasks(home=self, app=app_of(self.address))

    @cached_property
    def data(self) -> Data:
        """The databases, SQL methods and documents; what is enqueued joins their transactions."""
        from mergepoint.data.site import Data
        from mergepoint.tasks import outbox

        return Data(
            self._databases,
            self.clock,
            watches=(outbox.watch,),
            development=self._development,
            record_file=self._record_file,
        )

    @cached_property
    def feed(self) -> Feed:
        """What changes in the databases, whoever changes it."""
        from mergepoint.feed.engines import reader_of, tools_of
        from mergepoint.feed.handlers import Feed, as_followed

        return Feed(
            self,
            lambda: [as_followed(one.name, one.url) for one in self._followed()],
            self._positions,
            reader_of,
            tools_of,
        )

    @staticmethod
    def testing(**how: Any) -> Testing:
        """Return a site for tests: a bus in memory, time that is moved, faults on request."""
        from mergepoint.testing.site import Testing

        return Testing(**how)

    async def engine(self) -> Engine:
        """Return the open engine; on the site's loop."""
        return await self.bus.engine()

    async def ledger(self) -> Ledger:
        """Return the ledger of tasks; on the site's loop. Made anew after a fork."""
        engine = await self.engine()
        if self._ledger is None or self._ledger[0] is not engine:
            made = await (self._make_ledger() if self._make_ledger else self._hub_ledger(engine))
            self._ledger = (engine, made)
        return self._ledger[1]

    def wait(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the site's loop and wait, from blocking code."""
        return self.bus.wait(work)

    async def join(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Run this on the site's loop and wait, from a coroutine of any loop."""
        return await self.bus.join(work)

    def context(self) -> Mapping[str, str]:
        """Return what travels with messages: request id, trace, who asks, language, app."""
        return context.extensions()

    def close(self) -> None:
        """Close the bus and the databases; a second call does nothing."""
        feed: Feed | None = vars(self).pop("feed", None)
        if feed is not None:
            self.bus.wait(feed.close)
        if "data" in vars(self):
            self.data.close()
        hub, self._hub = self._hub, None
        if hub is not None:
            self.bus.wait(hub.close)
        self.bus.close()

    def _join(self, connection: Any, topic: bool) -> Joined | None:
        """Return the app's open transaction. Any: connections of many libraries."""
        from mergepoint.tasks.outbox import join, through_table

        self._belong()
        found = join(connection)
        return through_table(found) if topic and found is not None else found

    def _belong(self) -> None:
        """Tell the outbox whose messages this process sends."""
        if not self._belongs:
            from mergepoint.tasks.outbox import belong_to

            url, limits = engine_url(self.document), self.document.limits
            nudge = nudge_path(self.document)
            belong_to(bus_url=url, limits=limits, clock=self.clock, nudge=nudge)
            self._belongs = True

    async def _hub_ledger(self, engine: Engine) -> Ledger:
        from mergepoint.assembly.engines import ledger_beside
        from mergepoint.bus.adapters.hub import HubEngine
        from mergepoint.tasks.ledger.hub import HubLedger

        beside = await ledger_beside(engine, self.document.address)
        if beside is not None:
            return beside
        if not self.document.hub:
            raise BusRefused(
                f"tasks need the site's hub, and {VARIABLE} names none",
                next="give tasks to an app in the manifest, then mergepoint reload",
            )
        is_queue = isinstance(engine, HubEngine) and self.document.url == self.document.hub
        return HubLedger(await self._hub_call(engine), is_queue=is_queue)

    async def _hub_call(self, engine: Engine) -> Callable[[str, Mapping[str, Any]], Awaitable[Any]]:
        """Return how the hub is asked: over the engine where that is the hub, else beside it."""
        from mergepoint.bus.adapters.hub import HubEngine

        hub = self._hub
        if isinstance(engine, HubEngine) and self.document.url == self.document.hub:
            hub = engine
        elif hub is None:
            hub = self._hub = HubEngine(
                hub_url(self.document),
                self.document.limits,
                self.clock,
                address=self.document.address,
            )
            await hub.open(lambda _state, _reason: None)
        link = hub.link

        async def ask(op: str, fields: Mapping[str, Any]) -> Any:
            return (await link.call({"op": op, **fields})).value

        return ask

    def _followed(self) -> Sequence[Database]:
        return self._databases

    async def _positions(self) -> Positions:
        """Return where handlers of the feed keep how far they have come: in the hub's file."""
        from mergepoint.feed.positions import HubPositions

        return HubPositions(await self._hub_call(await self.engine()))


def connect(environment: Mapping[str, str] | None = None) -> Site:
    """Return this process's site; the same one at every call. Opens nothing yet.

    Raises `BusRefused` where the process was not started by a site that has a bus or a database.
    """
    global _connected  # noqa: PLW0603 - one site and one loop per process, whoever asks
    with _lock:
        if _connected is None:
            told = os.environ if environment is None else environment
            _connected = site_of(told)
        return _connected


def site_of(told: Mapping[str, str]) -> Site:
    """Return the site that an environment describes.

    Raises `BusRefused`, `LibraryMissing` where this environment could never speak with the bus, and
    `DataRefused`.
    """
    from mergepoint.assembly.engines import check_library

    databases = databases_of(told.get(DATABASES, ""))
    text = told.get(VARIABLE, "")
    has_bus = bool(text) or not databases
    address = f"{told.get('MERGEPOINT_APP', 'app')}/{told.get('MERGEPOINT_SLOT', '0')}"
    document = document_of(text) if has_bus else Document(url="", address=address)
    check_library(document.url)
    development = told.get("MERGEPOINT_MODE") == "development"
    socket = told.get("MERGEPOINT_SOCKET", "")
    name = f"{QUERIES}{(document.address or address).replace('/', '-')}.json"
    return Site(
        document,
        SystemClock(),
        databases=databases,
        development=development,
        record_file=Path(socket).parent / name if socket and development else None,
    )


def app_of(address: str) -> str:
    """Return the app of an address: of `tickets/0`, and of its task workers `tickets.tasks/0`."""
    return address.partition("/")[0].partition(".")[0]


def document_of(text: str) -> Document:
    """Return what the variable says; raise `BusRefused` with what is wrong. Pure."""
    if not text:
        raise BusRefused(
            f"this process has no bus: {VARIABLE} is not set",
            next="add [bus] to mergepoint.toml and start the app with mergepoint; in a test use"
            " mergepoint.Site.testing()",
        )
    try:
        read = json.loads(text)
    except ValueError as error:
        raise BusRefused(f"{VARIABLE} is no JSON: {error}") from None
    if not isinstance(read, dict) or not isinstance(read.get("url"), str):
        raise BusRefused(f'{VARIABLE} must be a JSON object with "url"')
    known = {one.name for one in fields(Limits)}
    limits = {name: value for name, value in read.get("limits", {}).items() if name in known}
    try:
        return Document(
            url=read["url"],
            hub=read.get("hub", ""),
            site=read.get("site", ""),
            address=read.get("address", ""),
            serializer=read.get("serializer", "json"),
            serializer_options=read.get("serializer_options", {}),
            limits=Limits(**limits),
            token_file=read.get("token_file", ""),
        )
    except TypeError as error:
        raise BusRefused(f"{VARIABLE}: {error}") from None


def parts_of(document: Document, clock: Clock, codec: Codec) -> Parts:
    """Return what a bus is made of."""
    from mergepoint.assembly.engines import engine_of

    def make_engine() -> Engine:
        if not document.url:
            document_of("")  # raises what a process without a bus is told
        return engine_of(engine_url(document), document.limits, clock, address=document.address)

    return Parts(
        make_engine=make_engine,
        limits=document.limits,
        clock=clock,
        codec=codec,
        address=document.address,
        tells=bool(document.site and document.address),
    )


def engine_url(document: Document) -> str:
    """Return the engine's URL, with the file of the token where a hub asks for one. Pure."""
    return _with_token(document.url, document.token_file)


def nudge_path(document: Document) -> str:
    """Return where the relay hears of commits: beside a hub on this machine, else "". Pure."""
    from mergepoint.tasks.outbox.nudging import SOCKET

    parts = urlsplit(document.hub)
    if parts.scheme != "hub+unix":
        return ""
    return str(Path(unquote(parts.path)).with_name(SOCKET))


def hub_url(document: Document) -> str:
    """Return the hub's URL, as `engine_url`. Pure."""
    return _with_token(document.hub, document.token_file)


def _with_token(url: str, token_file: str) -> str:
    if not token_file or not url.startswith("hub+tls:") or "token_file=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}token_file={token_file}"
