"""The ledger that the hub keeps, reached by calls to the hub.

Place:  mergepoint.connect, tasks.runner -> [ledger.hub] -> the hub's `ledger.*` operations
Rule:   no state of its own; the errors are those the operation raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mergepoint.tasks import errors
from mergepoint.tasks.ledger.calling import CallingLedger
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.ledger.operations import OPERATIONS

Call = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Does an operation of the hub (`ledger.start`) with these fields of the head; its value."""
_ERRORS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.TaskError)
}


class HubLedger(CallingLedger):
    """A `contract.Ledger` behind one function of the hub's adapter."""

    def __init__(self, call: Call, *, is_queue: bool) -> None:
        self._call = call
        self._is_queue = is_queue

    @property
    def is_queue(self) -> bool:
        """Whether the site's engine is the hub."""
        return self._is_queue

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Ask the hub."""
        value = await self._call(f"ledger.{name}", {"a": to_plain(arguments)})
        if "error" in value:
            kind = _ERRORS.get(value["error"], errors.TaskError)
            raise kind(value["message"], next=value.get("next", ""))
        answers = OPERATIONS[name].answers
        return None if answers is None else from_plain(answers, value["ok"])
