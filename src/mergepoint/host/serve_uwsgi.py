"""Become uWSGI: the only server that has to load the app itself, through `host.uwsgi_app`.

Place:  host.serve -> [host.serve_uwsgi] -> uwsgi, which loads [host.uwsgi_app]
Rule:   one process without a master; TERM finishes what is held.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings

LOADS_ITSELF = True


def run(app: Any, settings: Settings) -> int:
    """Replace this process by uWSGI; returns only if that is impossible."""
    del app  # a new program cannot inherit it; this first import proved that it loads
    where = settings.socket or f"{settings.address}:{settings.port}"
    # An answer without length ends with its connection: uWSGI keeps an HTTP/1.1 socket open
    # without saying where the body ends, so each request gets its own connection.
    arguments = [
        "uwsgi",
        "--http-socket", where,
        "--add-header", "Connection: close",
        "--wsgi-file", str(Path(__file__).with_name("uwsgi_app.py")),
        "--callable", "application",
        "--single-interpreter",
        "--need-app",
        "--master",
        "--no-orphans",
        "--enable-threads",
        "--threads", str(settings.threads),
        "--listen", str(min(settings.backlog, _backlog_max())),
        "--disable-logging",
        "--buffer-size", "65535",
        "--hook-master-start", "unix_signal:15 gracefully_kill_them_all",
        "--worker-reload-mercy", "86400",
        "--virtualenv", sys.prefix,
    ]  # fmt: skip
    beside = shutil.which("uwsgi", path=str(Path(sys.prefix) / "bin"))
    if beside is not None:
        os.execv(beside, arguments)  # noqa: S606
    pyuwsgi = importlib.import_module("pyuwsgi")

    pyuwsgi.run(arguments[1:])
    return 1


def _backlog_max() -> int:
    # uWSGI refuses to start with a longer queue than the kernel allows; others are cut silently.
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return 128
