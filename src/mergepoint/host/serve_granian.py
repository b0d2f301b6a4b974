"""Run Granian inside this process: no parent, no child, so nothing to outlive anything.

Place:  host.serve -> [host.serve_granian] -> granian
Rule:   Granian's own settings and start-up order; only the fork is left out.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path
from typing import Any

from .settings import IDLE_S, Settings

QUIET = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}
"""Granian configures logging anew at start; incremental keeps the handlers the app has made."""


class _Here:
    """Stands where Granian keeps its child process, and runs the same work in this one."""

    def __init__(self, server: Any, process: Any) -> None:
        self._server = server
        self._process = process
        self.idx = 0
        self.interrupt_by_parent = False

    def start(self) -> None:
        """Serve until a signal stops it, then let the server's main loop end."""
        self._process.run()
        self._server.signal_handler_interrupt()

    def is_alive(self) -> bool:
        """Tell that nothing is left to wait for."""
        return False

    def terminate(self) -> None:
        """Nothing is running any more."""

    kill = terminate

    def join(self, timeout: float | None = None) -> None:
        """Return at once."""


LOADS_ITSELF = False


def run(app: Any, settings: Settings) -> int:
    """Serve until TERM or INT, finish what is held, return 0."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    class OneProcess(MPServer):
        """Granian with its worker in the main process."""

        def _spawn_worker(self, *args: Any, **kwargs: Any) -> Any:
            child = super()._spawn_worker(*args, **kwargs)
            return _Here(self, child.inner)

        def _drop_shared_socket(self) -> None:
            # The worker part, in this same process, has closed the listening descriptor.
            if self._sso is not None:
                self._sso.detach()
                self._sso = None

    wsgi = settings.interface == "wsgi"
    where = (
        {"uds": Path(settings.socket)}
        if settings.socket
        else {"address": settings.address, "port": settings.port}
    )
    server = OneProcess(
        target=settings.target or settings.app,
        interface=Interfaces.WSGI if wsgi else Interfaces.ASGI,
        workers=1,
        blocking_threads=settings.threads if wsgi else 1,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_S * 1000),
        websockets=not wsgi,
        backlog=settings.backlog,
        backpressure=max(settings.backlog, settings.threads),
        log_level=LogLevels.warning,
        log_dictconfig=dict(QUIET, loggers={}),
        log_access=False,
        **where,
    )
    server.serve(target_loader=lambda *_: app, wrap_loader=False)
    return _end(0)


def _end(code: int) -> int:
    """Leave as Granian's own worker process would: exit handlers, then out at once.

    Its runtime's threads may still hold Python objects; the interpreter must not be torn down
    under them.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the app's own threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
