"""What can go wrong when work is done in another process.

Place:  [balance.errors] -> balance.*, apps
Rule:   standard library alone: apps import this in environments without Mergepoint.
"""

from __future__ import annotations


class BalanceError(Exception):
    """The root of them all; what the function itself raised comes as it is."""


class NotOffloadable(BalanceError):
    """The function cannot be found by name in another process, or a value cannot be pickled."""


class PoolFull(BalanceError):
    """As many calls as `waiting_max` wait already; nothing was begun."""


class PoolClosed(BalanceError):
    """The pool was closed before the call was done."""


class CallTimeout(BalanceError):
    """The call took longer than its `timeout_s`; its process was killed."""


class ChildDied(BalanceError):
    """The process of the call ended; the message says by which signal or exit code."""


class CallFailed(BalanceError):
    """The function raised something that cannot be pickled; the message tells its type and text."""


class RemoteTraceback(Exception):
    """Where an error was raised in the other process; stands as the cause of that error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Return the traceback of the other process, on lines of its own."""
        return f"\n{self.text}"
