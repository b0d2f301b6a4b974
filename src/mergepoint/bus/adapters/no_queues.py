"""The half of an engine that carries no queues: every call of it is refused, in the same words.

Place:  bus.adapters.zeromq, bus.adapters.xmpp -> [no_queues]
Rule:   refused before anything happened, naming the engines that can.
"""

from __future__ import annotations

from collections.abc import Sequence

from mergepoint.bus.capabilities import Capabilities, demand
from mergepoint.bus.contract import Accepted, Entry, EntryState, Lease, Put, QueueStats
from mergepoint.bus.errors import NotCapable
from mergepoint.wire.envelope import Message


class NoQueues:
    """Queues, bindings and dead letters of an engine that has none."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        raise NotImplementedError

    def _refuse(self, *names: str) -> NotCapable:
        demand(self.capabilities, *names)
        return NotCapable(f"the bus engine {self.capabilities.engine} has no {', '.join(names)}")

    async def bind(self, queue: str, pattern: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("bind")

    async def unbind(self, queue: str, pattern: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("bind")

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("queues")

    async def take(
        self,
        queues: Sequence[str],  # noqa: ARG002
        *,
        worker: str,  # noqa: ARG002
        limit: int,  # noqa: ARG002
        lease_s: float,  # noqa: ARG002
        wait_s: float,  # noqa: ARG002
    ) -> list[Lease]:
        """Refuse."""
        raise self._refuse("queues")

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("queues")

    async def nack(
        self,
        lease: Lease,  # noqa: ARG002
        *,
        delay_s: float = 0.0,  # noqa: ARG002
        reason: str = "",  # noqa: ARG002
        burn: bool = True,  # noqa: ARG002
    ) -> None:
        """Refuse."""
        raise self._refuse("queues")

    async def bury(self, lease: Lease, *, reason: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("queues")

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("queues")

    async def drop(self, queue: str, ids: Sequence[str]) -> int:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("browse")

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("dead_letters")

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002, ARG002
        """Refuse."""
        raise self._refuse("dead_letters")

    async def discard(self, queue: str, ids: Sequence[str]) -> int:  # noqa: ARG002
        """Refuse."""
        raise self._refuse("dead_letters")

    async def browse(
        self,
        queue: str,  # noqa: ARG002
        *,
        states: Sequence[EntryState],  # noqa: ARG002
        limit: int = 100,  # noqa: ARG002
        after: str = "",  # noqa: ARG002
    ) -> list[Entry]:
        """Refuse."""
        raise self._refuse("browse")

    async def queues(self) -> list[QueueStats]:
        """There are none."""
        return []
