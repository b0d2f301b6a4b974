"""`python -m mergepoint.bus.hub`: a hub without extensions, as its own process.

Place:  a shell, the supervisor -> [bus.hub.__main__] -> bus.hub.serving
Rule:   the door: reads arguments and environment, decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mergepoint.bus.hub.serving import serve
from mergepoint.bus.hub.settings import HubRefused, HubSettings, from_document


def settings_from(arguments: Sequence[str], environment: Mapping[str, str]) -> HubSettings:
    """Return settings of the JSON in `MERGEPOINT_HUB`, with arguments over them.

    `MERGEPOINT_CRASH_AT` counts only where the JSON says `"crash_points": true`, as tests do.
    """
    parser = argparse.ArgumentParser(prog="python -m mergepoint.bus.hub")
    parser.add_argument("--state-dir", help="where bus.db is kept")
    parser.add_argument("--socket", help="the Unix socket to listen on")
    parser.add_argument("--site", help="the site's name")
    given = parser.parse_args(arguments)
    try:
        document: Any = json.loads(environment.get("MERGEPOINT_HUB") or "{}")
    except ValueError as error:
        raise HubRefused(f"MERGEPOINT_HUB is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise HubRefused("MERGEPOINT_HUB is no JSON object")
    if document.pop("crash_points", False) is True:
        document["crash_at"] = environment.get("MERGEPOINT_CRASH_AT", "")
    named = {name: value for name, value in vars(given).items() if value}
    return from_document({**document, **named})


def main() -> int:
    """Serve; return the exit code."""
    ready = os.environ.get("MERGEPOINT_READY_FD", "")
    try:
        settings = settings_from(sys.argv[1:], os.environ)
    except HubRefused as error:
        line = {"event": "hub.refused", "message": error.message, "next": error.next}
        print(json.dumps(line), file=sys.stderr)
        return int(error.exit)
    return serve(settings, ready_fd=int(ready) if ready.isdigit() else None)


if __name__ == "__main__":
    sys.exit(main())
