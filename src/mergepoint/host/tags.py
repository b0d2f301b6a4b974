"""What answers were made from, found out for the edge where it keeps answers of this app.

Place:  host.start -> [host.tags] -> mergepoint.cache.hooks, before the app; cache.around, around it
Rule:   an app whose answers are not kept, or whose Python is too old, pays nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings

CACHE = "mergepoint.cache"


def watch(settings: Settings) -> bool:
    """Watch what this process reads, from before its app is loaded; tell whether it is watched."""
    if not settings.cache:
        return False
    try:
        hooks = importlib.import_module(CACHE + ".hooks")
        sources = importlib.import_module(CACHE + ".sources")
    except ImportError:  # this Python is too old: no tags, so nothing of it is kept
        return False
    beside = frozenset(str(place) for place in settings.cache.get("beside") or ())
    known = sources.sources_of(settings.cache.get("databases") or ())
    hooks.install(known, settings.directory, beside)
    return True


def around(app: Any, settings: Settings, watched: bool) -> Any:
    """Return the app so that its answers say what they were made from."""
    if not watched:
        return app
    return importlib.import_module(CACHE + ".around").around(app, settings.interface)
