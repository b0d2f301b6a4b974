"""One transaction of `site.data` around each request, where the app asks; queries watched.

Place:  host.start -> [host.transactions] -> mergepoint.data.{requests,watching.routes}, the app
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
ROUTES = "mergepoint.data.watching.routes"


def around(app: Any, settings: Settings) -> Any:
    """Return the app within its transactions; itself where it does not ask for them."""
    if settings.development and settings.databases:
        app = _watched(app, settings.interface)
    if not settings.transactions:
        return app
    try:
        requests = importlib.import_module(REQUESTS)
    except ImportError as error:
        advice = "unset MERGEPOINT_TRANSACTIONS, or give the app Python 3.11 or newer"
        reason = failure.one_line(error)
        raise WorkerFailed(Failure(reason, "MERGEPOINT_TRANSACTIONS", advice)) from error
    return requests.around(app, settings.interface, settings.transactions)


def _watched(app: Any, interface: str) -> Any:
    try:
        return importlib.import_module(ROUTES).around(app, interface)
    except ImportError:  # a Python too old has no site.data whose queries could be watched
        return app
