"""What the hub says to its operator: JSON lines on stderr.

Place:  bus.hub.* -> [bus.hub.log]
Rule:   never a message's data, a token or a password; names, counts and reasons alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Log = Callable[..., None]
"""Called with an event's name and its fields."""


def json_lines(unix_s: Callable[[], float]) -> Log:
    """Return a log that writes one JSON object a line to stderr."""

    def write(event: str, **fields: object) -> None:
        line = json.dumps({"at": round(unix_s(), 3), "event": event, **fields}, default=str)
        print(line, file=sys.stderr, flush=True)

    return write
