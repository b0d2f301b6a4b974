"""Import the application once, and turn every way this can fail into one clear `Failure`.

Place:  host.start -> [host.load] -> the user's code
Rule:   nothing of the user's runs before this; no failure leaves as a bare traceback.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import failure
from .failure import Failure, WorkerFailed

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY_ENTRIES_MAX = 1000


def prepare(directory: str) -> None:
    """Make `directory` the working place and the first entry of sys.path."""
    try:
        os.chdir(directory)
    except OSError as error:
        reason = f"the directory {directory} cannot be entered: {error.strerror}"
        advice = "create it, or correct `directory` in the manifest"
        raise WorkerFailed(Failure(reason, directory, advice)) from None
    sys.path.insert(0, str(Path.cwd()))


def load(target: str, factory: bool, directory: str, app: str) -> Callable[..., Any]:
    """Return the application object of ``module:attr``; raise `WorkerFailed` with the reason."""
    module_name, _, path = target.partition(":")
    module = _import(module_name, directory, app)
    value = _attribute(module, path or "application", target)
    if factory:
        value = _make(value, target, directory, app)
    if not callable(value):
        reason = f"`{target}` is a {type(value).__name__}, not an application"
        advice = "name the WSGI or ASGI callable, or set factory = true if a function makes it"
        raise WorkerFailed(Failure(reason, _file_of(module), advice))
    made: Callable[..., Any] = value
    return made


def _import(name: str, directory: str, app: str) -> Any:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may raise anything at import, SystemExit included
        place = failure.where(error, directory, directory)
        advice = _advice(error, name, directory, app)
        raise WorkerFailed(Failure(failure.one_line(error), place, advice)) from error


def _advice(error: BaseException, target_module: str, directory: str, app: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.split(".")[0]
        if target_module == error.name or target_module.startswith(error.name + "."):
            near = failure.closest(top, _modules_in(directory))
            return f"{Path(directory).resolve()} has no module `{error.name}`{near}"
        return f"{failure.python()} -m pip install {top}"
    if isinstance(error, SyntaxError):
        return "correct the line; this is Python {}.{}".format(*sys.version_info[:2])
    if isinstance(error, SystemExit):
        return 'the module ended its process; guard that with `if __name__ == "__main__":`'
    own = getattr(error, "next", "")  # our own errors say what to do
    return own if own and isinstance(own, str) else f"mergepoint logs {app}"


def _modules_in(directory: str) -> list[str]:
    names = []
    with os.scandir(directory) as entries:
        for entry in itertools.islice(entries, DIRECTORY_ENTRIES_MAX):
            if entry.name.endswith(".py"):
                names.append(entry.name[:-3])
            elif entry.is_dir() and not entry.name.startswith((".", "_")):
                names.append(entry.name)
    return names


def _attribute(module: Any, path: str, target: str) -> Any:
    value = module
    for name in path.split("."):
        if not hasattr(value, name):
            names = [known for known in dir(value) if not known.startswith("_")]
            hint = failure.closest(name, names)
            if not hint and "app" in names:
                hint = "; did you mean `app`?"
            reason = f"`{target}` names `{name}`, which the module does not have{hint}"
            advice = "correct the target in the manifest, written module:attribute"
            raise WorkerFailed(Failure(reason, _file_of(module), advice))
        value = getattr(value, name)
    return value


def _make(factory: Any, target: str, directory: str, app: str) -> Any:
    try:
        return factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        place = failure.where(error, directory, target)
        reason = f"the factory `{target}` failed: {failure.one_line(error)}"
        raise WorkerFailed(Failure(reason, place, _advice(error, "", directory, app))) from error


def _file_of(module: Any) -> str:
    return str(getattr(module, "__file__", None) or module.__name__) + ":1"
