"""Run a Gunicorn worker inside this process, without its arbiter's fork.

Place:  host.serve -> [host.serve_gunicorn] -> gunicorn
Rule:   the supervisor is the only one that starts workers again; Gunicorn never forks here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .settings import HEADER_BYTES_MAX, IDLE_S

if TYPE_CHECKING:
    from .settings import Settings

DRAIN_S = 86400
"""Longer than any drain: the supervisor's own deadline is the one that counts."""
ASGI_IDLE_S = 5
"""Gunicorn's ASGI worker ends only when its last connection has, the idle ones included."""

LOADS_ITSELF = False


def run(app: Any, settings: Settings) -> int:
    """Serve until TERM or INT, finish what is held, return 0."""
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
    from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

    class Loaded(BaseApplication):  # type: ignore[misc]
        """Configuration from Mergepoint's settings; the app is loaded already."""

        def load_config(self) -> None:
            for name, value in configuration(settings).items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return app

    class OneProcess(Arbiter):  # type: ignore[misc]
        """An arbiter that becomes its only worker."""

        def spawn_worker(self) -> int:
            self.worker_age += 1
            worker = _adopted(self.worker_class)(
                self.worker_age, os.getppid(), self.LISTENERS, self.app, self.timeout / 2.0,
                self.cfg, self.log,
            )  # fmt: skip
            worker.pid = os.getpid()
            try:
                worker.init_process()
            finally:
                worker.tmp.close()
            raise SystemExit(0)

    try:
        OneProcess(Loaded()).run()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Gunicorn's settings by name; those an older version lacks are left out."""
    where = f"unix:{settings.socket}" if settings.socket else f"{settings.address}:{settings.port}"
    values = {
        "bind": where,
        "workers": 1,
        "worker_class": "gthread" if settings.interface == "wsgi" else "asgi",
        "backlog": settings.backlog,
        "timeout": 0,
        "graceful_timeout": DRAIN_S,
        "keepalive": IDLE_S,
        "limit_request_field_size": HEADER_BYTES_MAX,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    if settings.interface == "wsgi":
        values["threads"] = settings.threads
    else:
        values["keepalive"] = ASGI_IDLE_S
    return values


def _adopted(worker_class: Any) -> Any:
    """Return the worker class with whoever is the parent now as its parent.

    Gunicorn's workers end when their parent changes. Ours is the supervisor, and the site goes
    on serving when that one dies.
    """
    parent = property(lambda _: os.getppid(), lambda _, __: None)
    return type("AdoptedWorker", (worker_class,), {"ppid": parent})
