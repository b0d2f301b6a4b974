"""What each engine of the bus can do, and which of them this site uses.

Place:  cli.commands.bus -> [cli.bus_engines] -> bus.capabilities
Rule:   imports no engine: the table of abilities is the one by which the bus refuses.
"""

from __future__ import annotations

import re
from typing import Any

from mergepoint.bus.capabilities import WHO_CAN
from mergepoint.core.errors import MergepointError

ENGINES: dict[str, tuple[str, str]] = {
    "hub": ("hub", ""),
    "postgresql": ("postgresql://", "psycopg"),
    "rabbitmq": ("amqp://", "aio-pika"),
    "redis": ("redis://", "redis"),
    "nats": ("nats://", "nats-py"),
    "zeromq": ("zmq+tcp://", "pyzmq"),
    "xmpp": ("xmpp://", "slixmpp"),
}
"""By name: how its URL begins, and the library that speaks to it."""

Json = dict[str, Any]


def engines_told() -> list[Json]:
    """Return every engine with its abilities; `used` is the one of this site."""
    from mergepoint.manifest.machine import Machine

    machine, used = Machine({}), _used()
    return [
        {
            "name": name,
            "url": url,
            "installed": not package or machine.has_package(package),
            "install": f"pip install 'mergepoint[{name.replace('postgresql', 'postgres')}]'"
            if package
            else "",
            "used": name == used,
            "can": sorted(ability for ability in WHO_CAN if name in able(ability)),
        }
        for name, (url, package) in ENGINES.items()
    ]


def able(ability: str) -> set[str]:
    """Return the engines that have an ability; `request` and `presence` are of all that say so."""
    return set(re.findall(r"[a-z]+", WHO_CAN[ability])) - {"or"}


def show_engines(told: list[Json]) -> None:
    """Print the table."""
    from mergepoint.cli.output import paint, say, show_table

    show_table(
        ("ENGINE", "URL", "INSTALLED", "CAN"),
        (
            (
                paint(e["name"], "bold") + (" (used)" if e["used"] else ""),
                e["url"],
                "yes" if e["installed"] else "no",
                ", ".join(e["can"]) or "topics",
            )
            for e in told
        ),
    )
    say("All of them carry topics. next: url = ... under [bus], then mergepoint reload")


def _used() -> str:
    """Return this site's engine; empty where there is no site or no bus."""
    from mergepoint.cli.bus_reach import site_with_bus
    from mergepoint.manifest.checks.bus import ENGINES as BY_SCHEME

    try:
        bus = site_with_bus().bus
    except MergepointError:
        return ""
    scheme = bus.url.scheme if bus else ""
    return BY_SCHEME.get(scheme, ("hub", "", ""))[0]
