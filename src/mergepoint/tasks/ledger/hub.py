"""The ledger that the hub keeps, reached by calls to the hub.

Place:  mergepoint.connect, tasks.runner -> [ledger.hub] -> the hub's `ledger.*` operations
Rule:   no state of its own; the errors are those the operation raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from mergepoint.tasks import errors
from mergepoint.tasks.contract import Finish, Finished
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
_ONCE = frozenset({"finish", "settle", "fire", "replay", "discard", "cancel"})
"""Operations whose second call answers otherwise: whoever asked decides about a repeat."""


class Answered(Protocol):
    """What the hub answered; Any: whatever JSON holds."""

    @property
    def value(self) -> Any:
        """The value of the head."""
        ...


class Link(Protocol):
    """The connection to the hub: `HubEngine.link`."""

    def call(self, head: dict[str, Any], *, repeat: bool = False) -> Awaitable[Answered]:
        """Return what the hub answers; `repeat`: also over a connection made anew."""
        ...


class HubLedger(CallingLedger):
    """A `contract.Ledger` over the connection of the hub's adapter, or one function of it."""

    def __init__(self, through: Link | Call, *, is_queue: bool) -> None:
        self._through = through
        self._is_queue = is_queue

    @property
    def is_queue(self) -> bool:
        """Whether the site's engine is the hub."""
        return self._is_queue

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Ask the hub."""
        value = await self._ask(name, to_plain(arguments))
        if "error" in value:
            kind = _ERRORS.get(value["error"], errors.TaskError)
            raise kind(value["message"], next=value.get("next", ""))
        answers = OPERATIONS[name].answers
        return None if answers is None else from_plain(answers, value.get("ok"))

    async def settle(self, finishes: Sequence[Finish]) -> Finished:
        """Finish runs and their messages in one transaction; only where `is_queue`.

        Raises `BusRefused` where the hub is older than this call.
        """
        value = await self._ask("settle", to_plain({"finishes": tuple(finishes)}))
        return from_plain(Finished, value["ok"])

    async def _ask(self, name: str, arguments: Any) -> Any:
        op, through = f"ledger.{name}", self._through
        if callable(through):
            return await through(op, {"a": arguments})
        head = {"op": op, "a": arguments}
        return (await through.call(head, repeat=name not in _ONCE)).value
