"""`python -m mergepoint.assembly.hub`: the hub of a site, with ledger and feed.

Place:  supervisor -> [assembly.hub] -> bus.hub.serving, assembly.feed
Rule:   the door: reads the environment, joins the parts, decides nothing.
"""

from __future__ import annotations

import os
import sys

from mergepoint.assembly.feed import VARIABLE as FEED_VARIABLE
from mergepoint.assembly.feed import feed_from
from mergepoint.assembly.positions import PositionsExtension
from mergepoint.bus.hub.__main__ import settings_from
from mergepoint.bus.hub.extension import Extension
from mergepoint.bus.hub.serving import serve
from mergepoint.bus.hub.settings import HubRefused
from mergepoint.feed.errors import FeedError
from mergepoint.host.failure import EXIT_CONFIG, Failure, report
from mergepoint.tasks.ledger.extension import LedgerExtension

QUEUE_VARIABLE = "MERGEPOINT_HUB_IS_QUEUE"
"""`1` where the hub also carries the messages; else another engine does."""
READY_VARIABLE = "MERGEPOINT_READY_FD"
LEDGER, FEED = "ledger", "feed"


def main() -> int:
    """Serve until TERM; return the exit code."""
    ready = os.environ.pop(READY_VARIABLE, "")
    try:
        settings = settings_from((), os.environ)
    except HubRefused as error:
        report(Failure(error.message, "MERGEPOINT_HUB", error.next))
        return EXIT_CONFIG
    is_queue = os.environ.get(QUEUE_VARIABLE) == "1"
    extensions: dict[str, Extension] = {
        LEDGER: LedgerExtension(settings.site, is_queue=is_queue),
        FEED: PositionsExtension(),
    }
    try:
        feed = feed_from(os.environ.pop(FEED_VARIABLE, ""))
        if feed is not None:
            feed.start()
    except FeedError as error:
        report(Failure(error.message, FEED_VARIABLE, error.next))
        return EXIT_CONFIG
    try:
        return serve(settings, extensions, ready_fd=int(ready) if ready.isdigit() else None)
    finally:
        if feed is not None:
            feed.stop()


if __name__ == "__main__":
    sys.exit(main())
