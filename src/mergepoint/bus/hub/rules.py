"""What becomes of a message: decisions without a database.

Place:  bus.hub.entries -> [bus.hub.rules]
Rule:   pure; the times are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from mergepoint.bus.contract import PRIORITY_MAX

EXPIRED = "expired"
ATTEMPTS = "all attempts used"
WORKER_GONE = "the worker's connection ended"
LEASE_ENDED = "the lease ended"
RESTARTED = "the worker did not come back after a restart of the hub"


class Where(Enum):
    """The small table a message stands in."""

    READY = auto()
    DELAYED = auto()
    HELD = auto()
    """In none: an older message of its key is not done."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a message that was given back becomes: dead with a reason, or waiting again."""

    dead: str = ""
    attempt: int = 0
    """How many deliveries count from now on."""
    delay_s: float = 0.0


def rank(priority: int) -> int:
    """Return what `ready` is ordered by: the lowest is taken first."""
    return PRIORITY_MAX - priority


def place(*, not_before: float, unix_s: float, behind: bool) -> Where:
    """Return where a message waits; `behind`: an older one of its key is there."""
    if behind:
        return Where.HELD
    return Where.DELAYED if not_before > unix_s else Where.READY


def returned(
    *,
    attempt: int,
    attempts_max: int,
    burn: bool,
    delay_s: float,
    expires_at: float,
    unix_s: float,
    reason: str,
) -> Returned:
    """Decide about a delivery that was not finished; `attempt` is its number."""
    counted = attempt if burn else attempt - 1
    if counted >= attempts_max:
        return Returned(dead=reason or ATTEMPTS, attempt=counted)
    if is_expired(expires_at, unix_s):
        return Returned(dead=EXPIRED, attempt=counted)
    return Returned(attempt=counted, delay_s=max(0.0, delay_s))


def is_expired(expires_at: float, unix_s: float) -> bool:
    """Tell whether a message that was not taken is dead by now."""
    return 0 < expires_at <= unix_s
