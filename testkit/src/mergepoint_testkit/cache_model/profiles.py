"""How schedules are made: what happens how often, and how long things live.

Place:  cache_model.explore -> [cache_model.profiles] -> cache_model.actions
Rule:   a seed and a profile give one schedule, for ever; each step stands for itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from mergepoint_testkit.cache_model.world import Pace

Step = tuple[str, int]
Schedule = tuple[Step, ...]

WORK = {
    "write": 8,
    "end_transaction": 30,
    "answer_write": 20,
    "read": 70,
    "fly": 160,
    "give_up": 1,
    "carry": 20,
    "carry_first": 100,
    "carry_late": 4,
    "pull": 22,
    "hub_step": 130,
    "ask_again": 6,
    "connect": 20,
    "notice": 20,
    "mend": 8,
}
"""Always possible."""

TROUBLE = {
    "delay": 5.0,
    "cut": 2.0,
    "restart_hub": 1.2,
    "restart_edge": 0.5,
    "cut_database": 1.0,
    "trim": 3.0,
    "fail_over": 0.8,
    "forget": 3.0,
    "wait": 4.0,
}
"""Each is left out of half the schedules, so that the rest is not drowned."""

CALM = {"replicate": 5.0}


@dataclass(frozen=True, slots=True)
class Profile:
    """One way to make schedules."""

    name: str
    pace: Pace
    steps: int
    speed: float
    """How often the hub and the wire move, for 1 in the ordinary profile."""
    often: dict[str, float] = field(default_factory=dict)
    """What happens how many times as often as in the ordinary profile."""


PROFILES = {
    "normal": Profile("normal", Pace(lease=200, ttl=120, stale_for=60, wait=40), 900, 1.0),
    "stress": Profile("stress", Pace(lease=90, ttl=60, stale_for=40, wait=15), 900, 0.8),
    "hop": Profile(
        "hop",
        Pace(lease=250, ttl=400, stale_for=60, wait=15),
        900,
        1.0,
        {"cut": 3.0, "restart_hub": 3.0, "fail_over": 0.3, "forget": 0.3, "carry": 3.0},
    ),
}
"""`stress` has leases shorter than a slow pull; in `hop`, connections and hubs end all the time."""


def schedule(seed: int, profile: Profile) -> Schedule:
    """Make the schedule of a seed."""
    dice = random.Random(f"{profile.name}:{seed}")
    weights = {name: float(weight) for name, weight in WORK.items()} | CALM
    for name in ("hub_step", "carry", "carry_first"):
        weights[name] *= profile.speed
    for name, weight in TROUBLE.items():
        weights[name] = weight * dice.choice((0.0, 0.0, 1.0, 2.0))
    for name in (
        "pull",
        "fly",
        "hub_step",
        "carry",
        "end_transaction",
        "connect",
        "notice",
        "mend",
    ):
        weights[name] *= dice.choice((0.3, 1.0, 3.0))
    for name, factor in profile.often.items():
        weights[name] *= factor
    kinds = dice.choices(list(weights), list(weights.values()), k=profile.steps)
    # Few different readers and writers in a schedule meet more often than many do.
    few = {kind: _pool(dice) for kind in ("read", "write")}
    return tuple((kind, dice.choice(few[kind]) if kind in few else _any(dice)) for kind in kinds)


def _any(dice: random.Random) -> int:
    return dice.getrandbits(24)


def _pool(dice: random.Random) -> list[int]:
    return [_any(dice) for _ in range(dice.choice((3, 8, 64)))]
