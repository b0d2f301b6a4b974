"""What the requests of this worker cost: CPU seconds beside wall seconds, for each route.

Place:  host.wsgi, host.asgi -> [host.figures] -> mergepoint.balance.measure; read by the supervisor
Rule:   a few microseconds for each request that is measured; names are bounded and hold no ids.

The first `ALL_MAX` requests are measured, then one of `SAMPLE`: sums stay in proportion.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path
from typing import Any

PROBE_WANTED = "figures"
ALL_MAX = 500
SAMPLE = 8
PIECES_MAX = 3
PIECE_CHARACTERS_MAX = 24
MEASURE = Path(__file__).resolve().parent.parent / "balance" / "measure.py"
"""Loaded by its path: its package is for newer Pythons than a worker may have."""

_numbers = itertools.count()
_module: Any = None
_meter: Any = None


def load() -> None:
    """Begin to measure; without it nothing is."""
    global _module, _meter  # noqa: PLW0603 - one worker, one meter
    spec = importlib.util.spec_from_file_location("mergepoint_measure", MEASURE)
    if spec is None or spec.loader is None:
        return
    _module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(_module)
    _meter = _module.Meter()


def wanted() -> bool:
    """Tell whether the next request is to be measured."""
    if _meter is None:
        return False
    number = next(_numbers)
    return number < ALL_MAX or number % SAMPLE == 0


def watch() -> Any:
    """Return a watch for the calling thread."""
    return _module.Watch()


def steps(awaitable: Any) -> Any:
    """Return the awaitable so that its steps are measured."""
    return _module.Steps(awaitable)


def stop(measured: Any, name: str) -> None:
    """Count what a watch or steps have measured."""
    measured.stop(_meter, name)


def told() -> bytes:
    """Return the figures as a JSON document."""
    return json.dumps({"names": [] if _meter is None else _meter.told()}).encode()


def name_wsgi(environ: dict[str, Any]) -> str:
    """Return the route of a request: as Flask, Bottle or Pyramid call it, else its shape. Pure."""
    route = _flask(environ) or _text(environ.get("bottle.route"), "rule")
    route = route or _text(environ.get("bfg.routes.route"), "pattern")
    return f"{environ.get('REQUEST_METHOD', '')} {route or shape(environ.get('PATH_INFO', ''))}"


def name_asgi(scope: dict[str, Any]) -> str:
    """Return the route of a request: as Starlette or FastAPI call it, else its shape. Pure."""
    path = scope["path"]
    root = scope.get("root_path", "")
    route = _text(scope.get("route"), "path")
    rest = path[len(root) :] if root and path.startswith(root) else path
    return f"{scope.get('method', 'WEBSOCKET')} {route or shape(rest)}"


def shape(path: str) -> str:
    """Return a path with what looks like an id replaced, three pieces deep. Pure."""
    pieces = [_shaped(piece) for piece in path.split("/")[1 : PIECES_MAX + 1]]
    return "/" + "/".join(pieces)


def _shaped(piece: str) -> str:
    is_id = len(piece) > PIECE_CHARACTERS_MAX or any(c.isdigit() for c in piece)
    return "*" if is_id else piece


def _flask(environ: dict[str, Any]) -> str:
    return _text(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule")


def _text(found: Any, name: str) -> str:
    text = getattr(found, name, "")
    return text if isinstance(text, str) else ""
