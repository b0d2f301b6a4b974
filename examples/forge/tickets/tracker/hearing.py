"""Hear what other apps tell and ask: a named subscription of the wiki, and an address.

Place:  working -> [hearing] -> mentioning, taking
Rule:   what was published while nobody listened waits in the queue; what cannot be understood is
        tried again and then a dead letter, for a person to look at.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from mergepoint import Site
from mergepoint.bus.errors import BusError
from tracker import mentioning, taking
from tracker.jobs import database

log = logging.getLogger("tracker")
QUEUE, TOPIC = "tickets.wiki", "wiki.page.changed"
IMPORT = "tickets.import"
"""Where tickets are taken over that lie in a repository; asked twice, it does it once."""
WAIT_S = 30.0
LOST_PAUSE_S = 1.0


def start(site: Site) -> None:
    """Listen in a thread of its own, as long as the process lives."""
    threading.Thread(target=_listen, args=(site,), name="hearing", daemon=True).start()


def _listen(site: Site) -> None:
    pages = site.bus.queue(QUEUE)
    begun = False
    while True:
        try:
            if not begun:
                pages.bind(TOPIC)  # from now on the queue collects; saying it twice does nothing
                site.bus.serve(IMPORT, _take_over)
                begun = True
            with pages.get(wait_s=WAIT_S) as job:
                if job:
                    with database().write() as db:
                        mentioning.keep(db, job.value)
        except BusError as error:
            log.warning("not listening to the wiki: %s", error)
            time.sleep(LOST_PAUSE_S)
        except Exception:
            log.exception("cannot take what the wiki told")


def _take_over(asked: dict[str, Any]) -> dict[str, int]:
    with database().write() as db:
        new = taking.take_over(db, asked["source"], asked["batch"], asked["by"], asked["tickets"])
    return {"new": new}
