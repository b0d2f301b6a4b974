"""`python -m mergepoint.assembly.hub`: the hub of a site, with the ledger of its tasks.

Place:  supervisor -> [assembly.hub] -> bus.hub.serving
Rule:   the door: reads the environment, joins the parts, decides nothing.
"""

from __future__ import annotations

import os
import sys

from mergepoint.bus.hub.__main__ import settings_from
from mergepoint.bus.hub.serving import serve
from mergepoint.bus.hub.settings import HubRefused
from mergepoint.host.failure import EXIT_CONFIG, Failure, report
from mergepoint.tasks.ledger.extension import LedgerExtension

QUEUE_VARIABLE = "MERGEPOINT_HUB_IS_QUEUE"
"""`1` where the hub also carries the messages; else another engine does."""
READY_VARIABLE = "MERGEPOINT_READY_FD"
LEDGER = "ledger"


def main() -> int:
    """Serve until TERM; return the exit code."""
    ready = os.environ.pop(READY_VARIABLE, "")
    try:
        settings = settings_from((), os.environ)
    except HubRefused as error:
        report(Failure(error.message, "MERGEPOINT_HUB", error.next))
        return EXIT_CONFIG
    is_queue = os.environ.get(QUEUE_VARIABLE) == "1"
    extensions = {LEDGER: LedgerExtension(settings.site, is_queue=is_queue)}
    return serve(settings, extensions, ready_fd=int(ready) if ready.isdigit() else None)


if __name__ == "__main__":
    sys.exit(main())
