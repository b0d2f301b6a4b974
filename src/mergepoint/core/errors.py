"""The one root of every error a user can meet, and the three questions each one answers.

Place:  [core.errors] -> everywhere
Rule:   a message says what was wrong, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from mergepoint.core.problems import Problem


class Exit(IntEnum):
    """Exit codes of the command line; documented, tested, never reused."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    CONFIG = 78
    INTERRUPTED = 130


class MergepointError(Exception):
    """Something a person can act on; never printed with a traceback."""

    code = "error"
    exit = Exit.FAILED

    def __init__(self, message: str, *, next: str = "") -> None:  # noqa: A002 - reads well at the call
        super().__init__(message)
        self.message = message
        self.next = next


class ManifestRefused(MergepointError):
    """The manifest has errors; the message lists every one with file:line and the fix."""

    code = "manifest.refused"
    exit = Exit.CONFIG

    def __init__(self, message: str, *, next: str = "", problems: Sequence[Problem] = ()) -> None:  # noqa: A002
        super().__init__(message, next=next)
        self.problems = tuple(problems)


class EdgeUnreachable(MergepointError):
    """The edge's control socket did not answer in time."""

    code = "edge.unreachable"


class EdgeRefused(MergepointError):
    """The edge answered that it cannot do what was asked."""

    code = "edge.refused"


class NotRunning(MergepointError):
    """No supervisor answers for this site."""

    code = "supervisor.not_running"
    exit = Exit.NOT_RUNNING
