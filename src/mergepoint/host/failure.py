"""One line that says why a worker cannot serve: what happened, where, and what to do.

Place:  host.load, host.serve -> [host.failure] -> stderr, read by supervisor
Rule:   the line is the last thing printed, so that the newest log line is the reason.
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

EXIT_CONFIG = 78
"""sysexits' EX_CONFIG: started again it would fail again."""
REASON_CHARS_MAX = 500


class Failure(NamedTuple):
    """Why, at which ``file:line``, and the next thing a person should do."""

    reason: str
    where: str
    next: str


class WorkerFailed(Exception):
    """Carries a `Failure` to the top; its cause, if any, has the traceback worth printing."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def report(failure: Failure, cause: BaseException | None = None, word: str = "failure") -> None:
    """Print the traceback of `cause`, then the one line ``mergepoint-<word>: {...}``."""
    sys.stdout.flush()
    if cause is not None:
        shown = without_machinery(cause.__traceback__)
        traceback.print_exception(type(cause), cause, shown, file=sys.stderr)
    text = json.dumps(failure._asdict())
    sys.stderr.write(f"mergepoint-{word}: {text}\n")
    sys.stderr.flush()


def without_machinery(top: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame on that is neither ours nor the importer's."""
    ours = str(Path(__file__).parent)
    while top is not None:
        filename = top.tb_frame.f_code.co_filename
        importer = filename.startswith("<frozen importlib") or filename == importlib.__file__
        if not importer and not filename.startswith(ours):
            break
        top = top.tb_next
    return top


def python() -> str:
    """Return the interpreter of this environment, also inside a server that is its own program."""
    beside = Path(sys.prefix) / "bin" / "python"
    return str(beside) if beside.exists() else sys.executable


def one_line(error: BaseException) -> str:
    """Return ``Type: first line of the message``, at most REASON_CHARS_MAX characters."""
    message = str(error).strip().splitlines()
    text = type(error).__name__ + (": " + message[0] if message else "")
    return text[:REASON_CHARS_MAX]


def where(error: BaseException, directory: str, fallback: str) -> str:
    """Return the deepest ``file:line`` of the traceback that lies in the user's own code."""
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename, directory):
        return f"{error.filename}:{error.lineno or 1}"
    found = fallback
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_own(frame.f_code.co_filename, directory):
            found = f"{Path(frame.f_code.co_filename).resolve()}:{line}"
    return found


def is_own(filename: str, directory: str) -> bool:
    """Tell whether a file is the user's: below `directory`, but not installed in an environment."""
    if filename.startswith("<"):  # frozen, a string, a notebook: no file to open
        return False
    path = Path(filename).resolve()
    installed = "site-packages" in path.parts or "dist-packages" in path.parts
    return not installed and Path(directory).resolve() in path.parents


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean `x`?`` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
