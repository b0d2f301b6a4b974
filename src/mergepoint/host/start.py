"""The life of a worker: read what is wanted, load the app, wrap it, serve it.

Place:  host.boot, host.uwsgi_app -> [host.start] -> host.load, host.wsgi, host.asgi, host.serve
Rule:   whatever stops a worker from serving ends here as one `mergepoint-failure` line, exit 78.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

from . import carried, failure, figures, load, offer, serve, settings, tags, together, transactions
from .asgi import AsgiShim
from .failure import Failure, WorkerFailed
from .limit import RequestWatch
from .loop import LoopWatch
from .settings import Settings, SettingsRefused
from .wsgi import WsgiShim


def main() -> int:
    """Run one worker to its end; return its exit code."""
    try:
        wanted = read()
        load.prepare(wanted.directory)
        runner = serve.runner(wanted)
        app = None
        if not runner.LOADS_ITSELF:  # uWSGI becomes another program first; see host.uwsgi_app
            app, watch = wrapped(wanted)
            watch.start()
        remove_stale(wanted.socket)
        return int(runner.run(app, wanted))
    except WorkerFailed as error:
        failure.report(error.failure, error.__cause__)
        return failure.EXIT_CONFIG


def application() -> tuple[Any, RequestWatch]:
    """Return the app behind its shim and its watchdog, unstarted; raise `WorkerFailed`."""
    wanted = read()
    load.prepare(wanted.directory)
    return wrapped(wanted)


def read() -> Settings:
    """Return the settings of this worker; raise `WorkerFailed` when the environment is wrong."""
    try:
        return settings.read(os.environ)
    except SettingsRefused as error:
        raise WorkerFailed(Failure(str(error), "environment", "mergepoint doctor")) from None


def wrapped(wanted: Settings) -> tuple[Any, RequestWatch]:
    """Load the app or the members; return them behind the shim, and the request watchdog."""
    offer.register()
    figures.load()
    watched = tags.watch(wanted)
    app = transactions.around(loaded(wanted), wanted)
    app = carried.around(tags.around(app, wanted, watched), wanted)
    in_flight: set[Any] = set()
    label = {"app": wanted.app, "slot": wanted.slot}
    watch = RequestWatch(in_flight, wanted.request_timeout_s, label)
    if wanted.interface == "wsgi":
        shim = WsgiShim(app, wanted.prefix == "host", in_flight, wanted.trusts_headers)
        return shim, watch

    def running() -> list[dict[str, Any]]:
        return [call.describe() for call in list(in_flight) if call.running]

    loop_watch = LoopWatch(wanted.loop_block_s, label, running)
    return AsgiShim(app, wanted, in_flight, loop_watch), watch


def loaded(wanted: Settings) -> Any:
    """Return the one app, or all members as one; raise `WorkerFailed`."""
    if wanted.members:
        return together.compose(together.load_parts(wanted), wanted)
    return load.load(wanted.target, wanted.factory, wanted.directory, wanted.app)


def remove_stale(path: str) -> None:
    """Remove a socket that an earlier process left at our own path; leave anything else alone."""
    with contextlib.suppress(OSError):
        if path and stat.S_ISSOCK(Path(path).stat().st_mode):
            Path(path).unlink()
