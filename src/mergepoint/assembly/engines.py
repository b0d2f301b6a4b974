"""The one list of engines: which class carries messages, by the scheme of its URL.

Place:  assembly.reach, assembly.gateway -> [assembly.engines] -> bus.adapters.*
Rule:   an engine is imported when it is asked for; one whose library is missing says which.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

from mergepoint.bus.contract import Engine, Limits
from mergepoint.bus.errors import BusRefused
from mergepoint.core.clock import Clock
from mergepoint.core.errors import Exit
from mergepoint.tasks.contract import Ledger

ADAPTERS = "mergepoint.bus.adapters"
ENGINES: dict[str, tuple[str, str, str]] = {
    "hub+unix": ("hub", "HubEngine", ""),
    "hub+tls": ("hub", "HubEngine", ""),
    "memory": ("memory", "MemoryEngine", ""),
    "postgresql": ("postgres", "PostgresEngine", "postgres"),
    "postgres": ("postgres", "PostgresEngine", "postgres"),
    "amqp": ("rabbitmq", "RabbitmqEngine", "rabbitmq"),
    "amqps": ("rabbitmq", "RabbitmqEngine", "rabbitmq"),
    "redis": ("redis", "RedisEngine", "redis"),
    "rediss": ("redis", "RedisEngine", "redis"),
    "nats": ("nats", "NatsEngine", "nats"),
    "zmq+tcp": ("zeromq", "ZeromqEngine", "zeromq"),
    "zmq+ipc": ("zeromq", "ZeromqEngine", "zeromq"),
    "xmpp": ("xmpp", "XmppEngine", "xmpp"),
}
"""By scheme: module, class, and the extra of Mergepoint that brings its library."""

LIBRARIES = {
    "postgres": "psycopg",
    "rabbitmq": "aio_pika",
    "redis": "redis",
    "nats": "nats",
    "zeromq": "zmq",
    "xmpp": "slixmpp",
}
"""By extra: the module whose absence means that the extra is not installed."""


class LibraryMissing(BusRefused):
    """The environment lacks the library that speaks with the site's engine."""

    code = "bus.library_missing"
    exit = Exit.CONFIG


def check_library(url: str) -> None:
    """Raise `LibraryMissing` where the engine of this URL could never be opened; imports nothing.

    A scheme that nobody knows is left to `engine_of`.
    """
    scheme = url.partition(":")[0]
    extra = ENGINES.get(scheme, ("", "", ""))[2]
    library = LIBRARIES.get(extra, "")
    if library and importlib.util.find_spec(library) is None:
        raise LibraryMissing(
            f"the bus of this site is {scheme}://, and {sys.prefix} has no {library}: the extra"
            f" {extra} of Mergepoint brings it",
            next=f"{sys.prefix}/bin/python -m pip install 'mergepoint[{extra}]'",
        )


def engine_of(url: str, limits: Limits, clock: Clock, *, address: str) -> Engine:
    """Return the engine of a URL, not yet open; raise `BusRefused` when there is none."""
    scheme = url.partition(":")[0]
    found = ENGINES.get(scheme)
    if found is None:
        raise BusRefused(f"no engine of the bus has the scheme {scheme!r}", next='bus.url = "hub"')
    module, name, extra = found
    try:
        kind = getattr(importlib.import_module(f"{ADAPTERS}.{module}"), name)
    except ImportError as error:
        install = f"pip install 'mergepoint[{extra}]'" if extra else "mergepoint doctor"
        raise BusRefused(f"the engine {module} needs {error.name}", next=install) from None
    engine: Engine = kind(url, limits, clock, address=address)
    return engine


async def ledger_beside(engine: Engine, address: str) -> Ledger | None:
    """Return the ledger in the open engine's own database; None where the hub keeps it."""
    if engine.capabilities.engine != "postgresql":
        return None
    from mergepoint.bus.adapters.postgres import PostgresEngine
    from mergepoint.tasks.ledger.postgres import PostgresLedger

    if not isinstance(engine, PostgresEngine):
        return None
    return await PostgresLedger.opened(engine, source=address)
