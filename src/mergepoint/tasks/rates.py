"""Token buckets: how many starts a rate allows, and when the next one may be.

Place:  tasks.ledger.* -> [tasks.rates]
Rule:   pure; a bucket is two numbers, and a token that is promised is taken.
"""

from __future__ import annotations

from mergepoint.tasks.spec import Rate


def take_token(
    rate: Rate, bucket: tuple[float, float] | None, now: float
) -> tuple[float, float, float]:
    """Return the bucket's tokens and time, and when this start may be (`now`: at once).

    A bucket holds at most `count` tokens and gains `count` in `per_s`. A start that must wait
    takes its token in advance, below zero, so that every waiting one has a time of its own.
    A clock that jumped back adds nothing.
    """
    tokens, at = bucket if bucket is not None else (float(rate.count), now)
    gain = rate.count / rate.per_s
    tokens = min(float(rate.count), tokens + max(0.0, now - at) * gain) - 1.0
    # What is left of adding fractions is no reason to wait.
    return tokens, now, now if tokens > -1e-6 else now - tokens / gain
