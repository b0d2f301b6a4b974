"""Start one worker: load the app once, then give it to the server of its venv; or run its tasks.

Place:  supervisor -> [host.boot] -> host.start, host.start_tasks
Rule:   run by path; this folder and mergepoint's site-packages never come on the app's sys.path.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "mergepoint_host"


def load_package() -> None:
    """Load the folder of this file as `mergepoint_host`, so that it needs no place on sys.path."""
    here = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the worker host from {here}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    # Python put this folder first because a script in it was started. Left there, the app's
    # own `wsgi` or `asgi` module would be found here instead of at home.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]


if __name__ == "__main__":
    load_package()
    entry = ".start_tasks" if sys.argv[1:] in (["tasks"], ["celery"]) else ".start"
    sys.exit(importlib.import_module(PACKAGE + entry).main())
