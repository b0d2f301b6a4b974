"""One transaction of `site.data` around each request, where the app asks for it.

Place:  host.start -> [host.transactions] -> mergepoint.data.requests, around the app
Rule:   an app that does not ask pays nothing; one that asks and cannot have it does not start.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import failure
from .failure import Failure, WorkerFailed

if TYPE_CHECKING:
    from .settings import Settings

REQUESTS = "mergepoint.data.requests"


def around(app: Any, settings: Settings) -> Any:
    """Return the app within its transactions; itself where it does not ask for them."""
    if not settings.transactions:
        return app
    try:
        requests = importlib.import_module(REQUESTS)
    except ImportError as error:
        advice = "unset MERGEPOINT_TRANSACTIONS, or give the app Python 3.11 or newer"
        reason = failure.one_line(error)
        raise WorkerFailed(Failure(reason, "MERGEPOINT_TRANSACTIONS", advice)) from error
    return requests.around(app, settings.interface, settings.transactions)
