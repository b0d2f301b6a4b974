"""The rules as switches: what each says, and where the model needs it.

Place:  cache_model.__main__, tests/cache_model, decision 0013 -> [cache_model.switches]
Rule:   SWITCHES are rules without which a promise breaks; SPARE ones save work only.
"""

from __future__ import annotations

from dataclasses import dataclass

BUDGET_MIN = 50


@dataclass(frozen=True, slots=True)
class Switch:
    """One rule, or one half of it."""

    name: str
    says: str
    profile: str
    seed: int | None
    """The first whose schedule breaks a promise without it; None: `known` has one by hand."""

    @property
    def budget(self) -> int:
        """How many schedules, from the first seed on, are enough to find a violation."""
        return max(BUDGET_MIN, 2 * ((self.seed or 0) + 1))


SWITCHES = (
    Switch("I1-before", "the mark is taken before the app is asked", "normal", 4),
    Switch("I1-generation", "nothing is stored that was asked for before a flush", "normal", 4),
    Switch("I1-tags", "nothing is stored whose tag was invalidated meanwhile", "normal", 21),
    Switch("I1-kept", "nothing is stored that is older than what is remembered", "normal", 167),
    Switch("I2-generation", "nobody is given what was asked for before a flush", "normal", 28),
    Switch("I2-tags", "nobody is given what was invalidated while he waited", "normal", 28),
    Switch("I3-hold", "a writer's answer is held", "normal", 4),
    Switch("I3-all", "it is held until every edge has applied the barrier", "normal", 26),
    Switch("I3-fresh", "a question is answered by a read begun after it came", "normal", 35),
    Switch("I3-present", "an edge that left is waited for, a lease long", "hop", 281),
    Switch("I3-young", "a new hub waits for edges it has not met", "hop", 631),
    Switch("I3-dropped", "an answer that was lost or dropped releases nobody", "hop", 1754),
    Switch("I4", "nothing is served when the lease is over", "normal", 0),
    Switch("I4-start", "a lease counts from the question, not from the answer", "stress", 17),
    Switch("I4-event", "an event lengthens no lease", "stress", None),
    Switch("I5", "the cursor is a snapshot, not the highest number seen", "normal", 35),
    Switch("I6-moment", "what was asked in another state is dropped when it comes", "hop", 43),
    Switch("I7", "a cursor older than the trim mark flushes", "normal", 28),
    Switch("I8", "another epoch flushes", "normal", 0),
    Switch("I9", "only what is visible is applied", "normal", 9),
    Switch("I10", "what was read from a replica is not shared", "normal", 3),
    Switch("I11", "what was invalidated is never served stale", "normal", 3),
    Switch("I12", "what was made from unknown data is not shared", "normal", 3),
    Switch("session", "who wrote within the lease has its edge pull first", "hop", 0),
    Switch("linear", "a linear read pulls first", "normal", 3),
)
SPARE = (Switch("I6-at", "what is no newer than what was applied is dropped", "hop", None),)
"""No promise needs these. The hub counts tags from the cursor an edge gives, rounds are the edge's
own and no two cursors are ever compared, so that a position set back only repeats invalidations."""

NAMES = frozenset(one.name for one in (*SWITCHES, *SPARE))
