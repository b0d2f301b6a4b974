"""Run uvicorn inside this process.

Place:  host.serve -> [host.serve_uvicorn] -> uvicorn
Rule:   a WSGI app comes here behind `host.bridge`; the edge's headers are read by our shim alone.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from .bridge import as_asgi
from .settings import HEADER_BYTES_MAX, IDLE_S

if TYPE_CHECKING:
    from .settings import Settings

LOADS_ITSELF = False

# The library behind uvicorn's WebSockets reads its limit of a header line when it is imported,
# and the app, which is loaded after this module, may import it.
os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(HEADER_BYTES_MAX))


def run(app: Any, settings: Settings) -> int:
    """Serve until TERM or INT, finish what is held; 0, or 3 when lifespan start-up failed."""
    import uvicorn

    if settings.interface == "wsgi":
        app = as_asgi(app, settings.threads)
    where: dict[str, Any] = (
        {"uds": settings.socket}
        if settings.socket
        else {"host": settings.address, "port": settings.port}
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        backlog=settings.backlog,
        interface="asgi3",
        **where,
    )
    # uvicorn raises the signal it was stopped by once more, with the handlers it found; ours
    # lets a worker that drained end with 0 instead of by the signal.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 3
