"""Where a slot of an app can be reached, as the supervisor knows it and the edge is told.

Place:  supervisor -> [core.endpoints] -> edge.compile
Rule:   plain frozen data; no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SlotState(StrEnum):
    """What the edge may do with a slot's endpoint."""

    READY = "ready"
    """Answers its readiness check: takes new requests."""
    DRAINING = "draining"
    """Finishes what it holds: takes no new request, keeps open tunnels until the deadline."""


class SlotGroup(StrEnum):
    """Which release an endpoint belongs to while a canary is out."""

    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class SlotEndpoint:
    """One address of one slot.

    `slot` is the numbered place in the pool and survives restarts; `address` is
    ``unix:/absolute/path.sock`` or ``tcp:127.0.0.1:4711`` and is new for every process.
    """

    slot: int
    address: str
    state: SlotState = SlotState.READY
    group: SlotGroup = SlotGroup.STABLE


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an app has no worker, in words an operator can act on."""

    reason: str
    """One line: ``ModuleNotFoundError: No module named 'redis'``."""
    where: str = ""
    """``chat/app.py:12`` or empty."""
    next: str = ""
    """The next command: ``mergepoint logs chat``."""
