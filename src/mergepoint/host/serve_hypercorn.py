"""Run Hypercorn inside this process.

Place:  host.serve -> [host.serve_hypercorn] -> hypercorn
Rule:   a WSGI app comes here behind `host.bridge`; draining has no limit, the supervisor has one.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from .bridge import as_asgi
from .settings import HEADER_BYTES_MAX, IDLE_S

if TYPE_CHECKING:
    from .settings import Settings

DRAIN_S = 86400.0
"""Hypercorn cancels what is left after its grace; the supervisor's deadline comes long before."""

LOADS_ITSELF = False


def run(app: Any, settings: Settings) -> int:
    """Serve until TERM or INT, finish what is held; 0, or 3 when lifespan start-up failed."""
    from hypercorn.config import Config
    from hypercorn.utils import LifespanFailureError

    if settings.interface == "wsgi":
        app = as_asgi(app, settings.threads)
    config = Config()
    config.bind = [
        f"unix:{settings.socket}" if settings.socket else f"{settings.address}:{settings.port}"
    ]
    config.backlog = settings.backlog
    config.accesslog = None
    config.errorlog = "-"
    config.loglevel = "WARNING"
    config.include_server_header = False
    config.graceful_timeout = DRAIN_S
    config.keep_alive_timeout = IDLE_S
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.startup_timeout = DRAIN_S
    config.umask = None
    try:
        asyncio.run(_serve(app, config))
    except LifespanFailureError:
        return 3
    return 0


async def _serve(app: Any, config: Any) -> None:
    import hypercorn.asyncio

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopping.wait, mode="asgi")
