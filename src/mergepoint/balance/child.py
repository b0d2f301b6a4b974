"""The other process: reads calls from a socket, runs them one by one, writes what came of them.

Place:  balance.slot -> [balance.child], run by path
Rule:   standard library alone, and no import from its own package before the first message.

A first message is `{"path", "directory", "main", "offer"}`: the parent's `sys.path`, its working
directory, the file of its `__main__` (where a function stands there), and the file that offers
Mergepoint to environments without it. Then comes one call at a time.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import pickle
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

PR_SET_PDEATHSIG = 1
MAIN = "__mp_main__"
"""What the parent's `__main__` is called here, so that its guarded part does not run."""


def main(descriptor: int) -> None:
    """Serve until the parent closes its end."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # Python put this folder first because a script in it was started.
    sys.path.pop(0)
    connection = Connection(descriptor)
    try:
        prepare(connection.recv())
        while True:
            connection.send_bytes(answered(connection.recv_bytes()))
    except (EOFError, OSError):
        return


def die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent's thread ends; elsewhere the closed socket does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def prepare(told: dict[str, Any]) -> None:
    """Make modules findable as they are in the parent."""
    sys.path[:] = told["path"]
    os.chdir(told["directory"])
    if told["offer"]:
        load("mergepoint_offer", told["offer"]).register()
    if told["main"]:
        sys.modules["__main__"] = load(MAIN, told["main"])


def load(name: str, file: str) -> Any:
    """Return the module of a file under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def answered(call: bytes) -> bytes:
    """Run one pickled call; return the pickled outcome and what this process weighs now."""
    try:
        module, name, values, named = pickle.loads(call)  # noqa: S301 - the parent wrote it
        value, failure = function(module, name)(*values, **named), None
    except BaseException as error:
        if isinstance(error, SystemExit):
            error = RuntimeError(f"the function called sys.exit({error.code!r})")
        value, failure = None, described(error)
    peak_bytes = peak_memory_bytes()
    try:
        return pickle.dumps((value, failure, peak_bytes), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        told = (None, type(error).__name__, f"the result cannot be pickled: {error}", "")
        return pickle.dumps((None, told, peak_bytes), pickle.HIGHEST_PROTOCOL)


def peak_memory_bytes() -> int:
    """Return the most memory this process has had.

    Linux counts what the parent had at the fork into `ru_maxrss`, which outlives exec; what
    /proc says begins with the program.
    """
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - read after every call
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def function(module: str, name: str) -> Any:
    """Return a function by its names; of a decorated one, what was decorated."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return getattr(found, "offloaded_function", found)


def described(error: BaseException) -> tuple[BaseException | None, str, str, str]:
    """Return an error, if it can be pickled and read back, with its type, text and traceback."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    error.__traceback__ = error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was written one line before
    except Exception:
        return None, type(error).__name__, str(error), trace
    return error, type(error).__name__, str(error), trace


if __name__ == "__main__":
    main(int(sys.argv[1]))
