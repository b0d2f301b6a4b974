"""Choose the server that runs this worker among those its venv has.

Place:  host.start -> [host.serve] -> host.serve_<name>
Rule:   the wanted server first, then a fixed order; a fallback is always said on stderr.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING, Any

from . import failure
from .failure import Failure, WorkerFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import Settings

GRANIAN_PYTHON = (3, 10)
"""The oldest Python that Granian 2.8 supports."""
ORDER: dict[str, tuple[str, ...]] = {
    "wsgi": ("granian", "gunicorn", "uwsgi", "uvicorn", "hypercorn"),
    "asgi": ("granian", "uvicorn", "hypercorn", "gunicorn"),
}

NEEDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("granian", "wsgi"): ("granian.server.mp",),
    ("granian", "asgi"): ("granian.server.mp",),
    ("gunicorn", "asgi"): ("gunicorn.workers.gasgi",),
    ("uwsgi", "wsgi"): ("pyuwsgi",),
}
"""Modules that show a version new enough to serve an interface; otherwise the package itself."""


def installed(name: str, interface: str) -> bool:
    """Tell whether this venv has the server, in a version that can serve `interface` here."""
    if name == "uwsgi" and shutil.which("uwsgi", path=sys.prefix + "/bin") is not None:
        return True
    return all(_has_module(module) for module in NEEDS.get((name, interface), (name,)))


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # what should be its package is not one, in an older version
        return False


def choose(wanted: str, interface: str, has: Callable[[str, str], bool]) -> tuple[str, str]:
    """Return the server to use and a note (empty when it is the wanted one); pure."""
    order = ORDER[interface]
    if wanted in order and has(wanted, interface):
        return wanted, ""
    for name in order:
        if has(name, interface):
            why = "is missing or too old" if wanted in order else f"does not serve {interface}"
            return name, f"server {wanted} {why} in {sys.prefix}; using {name}"
    raise WorkerFailed(
        Failure(
            f"no server for {interface} is installed in {sys.prefix}",
            failure.python(),
            f"{failure.python()} -m pip install {advised(interface, sys.version_info[:2])}",
        )
    )


def advised(interface: str, python: tuple[int, int]) -> str:
    """Return the server to install: Granian where a version for this Python serves here; pure."""
    if python >= GRANIAN_PYTHON:
        return "granian"
    return "gunicorn" if interface == "wsgi" else "uvicorn"


def runner(settings: Settings) -> Any:
    """Return the module that runs the chosen server; say on stderr when it is a fallback."""
    name, note = choose(settings.server, settings.interface, installed)
    if note:
        sys.stderr.write(f"mergepoint: {note}\n")
    return importlib.import_module(f"{__package__}.serve_{name}")
