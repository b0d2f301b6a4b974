"""What an outbox must know of its site: limits, the time, and where the queues are.

Place:  assembly.connect, tasks -> [outbox.site] -> outbox.joined_*
Rule:   told once by whoever connects; opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import Clock, SystemClock
from mergepoint.tasks.outbox import rows


@dataclass(frozen=True)
class Site:
    """The site as its outbox sees it."""

    bus_url: str = ""
    """The engine's; a PostgreSQL that the app shares is put into without a relay."""
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)

    def rows(self, queue: str, puts: Sequence[Put]) -> list[dict[str, Any]]:
        """Return messages as parameters of SQL."""
        at = self.clock.unix_s()
        made = [rows.row(queue, put, at) for put in puts]
        return [
            {
                **one,
                "dedupe_s": self.limits.dedupe_s,
                "attempts_max": one["attempts_max"] or self.limits.attempts_max,
            }
            for one in made
        ]

    def holds_queue(self, info: Any) -> bool:  # Any: `info` of a psycopg connection
        """Tell whether this connection leads to the very database the queues are in."""
        return self.holds_queue_at(str(info.host), str(info.port), str(info.dbname))

    def holds_queue_at(self, host: str, port: str, database: str) -> bool:
        """Tell the same of a host (a directory for a Unix socket), a port and a database.

        Names are compared as they stand: two spellings of one server count as two, and the
        message then takes the way of the outbox, which is as safe.
        """
        if not self.bus_url.startswith(("postgresql://", "postgres://")):
            return False
        return place_of(self.bus_url) == (host, port, database)


def place_of(url: str) -> tuple[str, str, str]:
    """Return host, port and database of a PostgreSQL url."""
    parts = urlsplit(url)
    query: Mapping[str, list[str]] = parse_qs(parts.query)
    host = query.get("host", [unquote(parts.hostname or "localhost")])[0]
    port = query.get("port", [str(parts.port or 5432)])[0]
    return host, port, unquote(parts.path.lstrip("/"))
