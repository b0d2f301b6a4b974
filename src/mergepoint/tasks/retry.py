"""How long to wait before the next attempt.

Place:  tasks.settling -> [tasks.retry]
Rule:   pure; the same task and attempt give the same pause, so that a test can foretell it.
"""

from __future__ import annotations

import hashlib

from mergepoint.tasks.spec import Backoff


def pause_s(backoff: Backoff, attempt: int, seed: str) -> float:
    """Return the pause after the failed `attempt` (1 is the first).

    Exponential, never above `max_s`, then shortened by up to `jitter` of itself, so that what
    failed together does not come back together.
    """
    # A float overflows at about 2 ** 1024; nobody waits for the hundredth doubling.
    grown = backoff.first_s * backoff.factor ** min(max(attempt, 1) - 1, 100)
    return min(grown, backoff.max_s) * (1.0 - backoff.jitter * fraction(f"{seed}:{attempt}"))


def fraction(seed: str) -> float:
    """Return a number in [0, 1) that depends on nothing but `seed`."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=6).digest(), "big") / 2**48
