"""Calls to the hub that wait for their answers, and who is told.

Place:  bus.adapters.hub_link -> [bus.adapters.hub_pending]
Rule:   an asker is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mergepoint.bus.adapters.hub_wire import Answer


class Asker(Protocol):
    """Who is told what became of a call: a future, or `Told`."""

    def done(self) -> bool:
        """Whether it has been told."""
        ...

    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, result: Answer, /) -> None:
        """The hub answered."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """It refused, or is lost."""
        ...

    def exception(self) -> BaseException | None:
        """What `set_exception` was given: it counts as looked at."""
        ...


class Told:
    """Calls `then(answer, error)` at once, where a future would a turn of the loop later."""

    __slots__ = ("_error", "_then")

    def __init__(self, then: Callable[[Answer | None, BaseException | None], None]) -> None:
        self._then: Callable[[Answer | None, BaseException | None], None] | None = then
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Whether it was called."""
        return self._then is None

    def cancelled(self) -> bool:
        """Whether nobody waits: somebody always does."""
        return False

    def set_result(self, result: Answer, /) -> None:
        """Hand the answer on."""
        then, self._then = self._then, None
        if then is not None:
            then(result, None)

    def set_exception(self, exception: BaseException, /) -> None:
        """Hand the error on."""
        then, self._then, self._error = self._then, None, exception
        if then is not None:
            then(None, exception)

    def exception(self) -> BaseException | None:
        """Return the error, if it was one."""
        return self._error


class Pending:
    """A call that waits for its answer."""

    __slots__ = ("frame", "future", "repeat", "sent", "until_s")

    def __init__(self, frame: bytes, future: Asker, until_s: float, *, repeat: bool) -> None:
        self.frame = frame
        self.future = future
        self.until_s = until_s
        self.repeat = repeat
        self.sent = False
