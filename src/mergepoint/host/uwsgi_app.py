"""What uWSGI loads: the app behind our shim, or the failure line.

Place:  uwsgi -> [host.uwsgi_app] -> host.start
Rule:   the same order of events as `host.boot`; uWSGI only replaces the last step.
"""

from __future__ import annotations

import importlib
import io
import os
import runpy
from pathlib import Path
from typing import Any

CHUNK_WAIT_S = 86400
"""uWSGI gives up on a slow chunked body by itself; the edge's own limit comes long before."""

_boot = runpy.run_path(str(Path(__file__).with_name("boot.py")), run_name="mergepoint_host_boot")
_boot["load_package"]()

failure = importlib.import_module("mergepoint_host.failure")
start = importlib.import_module("mergepoint_host.start")
uwsgi: Any = importlib.import_module("uwsgi")


class _Chunked(io.RawIOBase):
    """A chunked request body, which uWSGI hands out only through its own call."""

    _rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = uwsgi.chunked_read(CHUNK_WAIT_S)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _reading_chunks(app: Any) -> Any:
    def reading(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("wsgi.file_wrapper", None)  # its object cannot be iterated, only returned
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            environ["wsgi.input"] = io.BufferedReader(_Chunked())
            environ["wsgi.input_terminated"] = True
        return app(environ, start_response)

    return reading


try:
    _app, _watch = start.application()
    application = _reading_chunks(_app)
except failure.WorkerFailed as error:
    failure.report(error.failure, error.__cause__)
    os._exit(failure.EXIT_CONFIG)  # uWSGI would turn any other way out into its own exit code

uwsgi.post_fork_hook = _watch.start  # a thread started now would not live in the forked worker
