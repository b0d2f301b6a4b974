"""What becomes of a message after it was posted to an app: done, again later, or dead.

Place:  bus.gateway.deliver -> [bus.gateway.verdict]
Rule:   pure; one table of answers, and pauses that double up to a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mergepoint.bus.gateway.settings import Delivery

GONE = 410
"""The app says that there is nobody for this message, now or later (RFC 9110, section 15.5.11)."""
RETRY_AFTER_S_MAX = 3600.0
"""An app that asks for a longer pause than this is asked again all the same."""
ABSENT_S = 0.5
"""Pause before a message is tried again for an app that could not be reached at all."""


class Fate(StrEnum):
    """What the gateway tells the engine."""

    DONE = "done"
    AGAIN = "again"
    ABSENT = "absent"
    """Nothing was sent: the attempt does not count."""
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a post ended: a status, or 0 and the reason why there is none."""

    status: int = 0
    reason: str = ""
    sent: bool = True
    """Whether the app may have seen the message."""
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of a message, after how many seconds it comes again, and why."""

    fate: Fate
    delay_s: float = 0.0
    reason: str = ""


def judge(answer: Answer, delivery: Delivery, attempt: int) -> Verdict:
    """Return what becomes of a message at its `attempt`th post; the first is 1."""
    if 200 <= answer.status < 300:
        return Verdict(Fate.DONE)
    if not answer.sent:
        return Verdict(Fate.ABSENT, ABSENT_S, answer.reason)
    said = f"{delivery.app} answered {answer.status}" if answer.status else answer.reason
    if answer.status == GONE:
        return Verdict(Fate.DEAD, reason=f"{said}: gone")
    if attempt >= delivery.attempts_max:
        return Verdict(Fate.DEAD, reason=f"{said} at attempt {attempt} of {delivery.attempts_max}")
    return Verdict(Fate.AGAIN, delay_s(answer, delivery, attempt), said)


def delay_s(answer: Answer, delivery: Delivery, attempt: int) -> float:
    """Return the pause before the next post: doubled each time, or longer if the app asks."""
    doubled: float = delivery.backoff_s * 2.0 ** min(max(attempt, 1) - 1, 30)
    asked = min(answer.retry_after_s, RETRY_AFTER_S_MAX)
    return max(min(doubled, delivery.backoff_s_max), asked)
