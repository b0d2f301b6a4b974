"""Hear what the wiki tells: a named subscription, and the loop that works on it.

Place:  working -> [hearing] -> mentioning
Rule:   what was published while nobody listened waits in the queue; what cannot be understood is
        tried again and then a dead letter, for a person to look at.
"""

from __future__ import annotations

import logging
import threading
import time

from mergepoint import Site
from mergepoint.bus.errors import BusError
from tracker import mentioning
from tracker.jobs import database

log = logging.getLogger("tracker")
QUEUE, TOPIC = "tickets.wiki", "wiki.page.changed"
WAIT_S = 30.0
LOST_PAUSE_S = 1.0


def start(site: Site) -> None:
    """Listen in a thread of its own, as long as the process lives."""
    threading.Thread(target=_listen, args=(site,), name="hearing", daemon=True).start()


def _listen(site: Site) -> None:
    pages = site.bus.queue(QUEUE)
    bound = False
    while True:
        try:
            if not bound:
                pages.bind(TOPIC)  # from now on the queue collects; saying it twice does nothing
                bound = True
            with pages.get(wait_s=WAIT_S) as job:
                if job:
                    with database().write() as db:
                        mentioning.keep(db, job.value)
        except BusError as error:
            log.warning("not listening to the wiki: %s", error)
            time.sleep(LOST_PAUSE_S)
        except Exception:
            log.exception("cannot take what the wiki told")
