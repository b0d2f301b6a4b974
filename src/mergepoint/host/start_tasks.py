"""Offer Mergepoint to the app's environment and hand over to what runs its tasks.

Place:  host.boot -> [host.start_tasks] -> mergepoint.tasks.runner, mergepoint.neighbours.celery
Rule:   whatever stops it from starting ends here as one `mergepoint-failure` line, exit 78.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from . import failure, load, offer
from .failure import Failure, WorkerFailed

RUNNERS = {
    "tasks": ("MERGEPOINT_TASKS", "mergepoint.tasks.runner.__main__"),
    "celery": ("MERGEPOINT_CELERY", "mergepoint.neighbours.celery"),
}
"""By the word `boot` is given: the variable with its settings, and the module that runs."""


def main() -> int:
    """Run the runner to its end; return its exit code."""
    variable, name = RUNNERS[sys.argv[1]]
    try:
        return _run(name, _directory(variable))
    except WorkerFailed as error:
        failure.report(error.failure, error.__cause__)
        return failure.EXIT_CONFIG


def _run(name: str, directory: str) -> int:
    too_old = offer.too_old(sys.version_info[:2])
    if too_old:
        advice = "give the app a newer `python` or `venv`, or run its tasks from another app"
        raise WorkerFailed(Failure(too_old, sys.executable, advice))
    load.prepare(directory)
    offer.register()
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        place = failure.where(error, directory, name)
        advice = f"{failure.python()} -m pip install {error.name or 'mergepoint'}"
        raise WorkerFailed(Failure(failure.one_line(error), place, advice)) from error
    return int(module.main() or 0)


def _directory(variable: str) -> str:
    """Return the app's own directory; the place we are in when nobody says."""
    try:
        told = json.loads(os.environ.get(variable, "{}"))
        return str(told.get("directory") or ".")
    except (ValueError, AttributeError):
        return "."
