"""What clients were told, and whether an answer keeps every promise.

Place:  cache_model.world, cache_model.fills -> [cache_model.promises]
Rule:   knows nothing of caches: stamps that were promised, and stamps that were served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mergepoint_testkit.cache_model.database import FIRST, KEYS, Database

PROMISES = {
    "strict": "nobody is served what is older than a write acknowledged before the request began",
    "session": "a writer is served nothing older than its own write",
    "linear": "a linear read is not older than what was visible when it began",
    "bounded": "a hit is not older than the lease",
    "ghost": "what a failover lost is not served after a write of the new time was acknowledged",
    "forever": "when all is quiet, every edge serves what the database holds",
    "ends": "every request and every write is answered in the end",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and how."""

    promise: str
    text: str


@dataclass(slots=True, eq=False)
class Floors:
    """What one request may expect, fixed when it began."""

    strict: dict[str, int]
    session: dict[str, int]
    linear: dict[str, int]
    ghosts: bool
    """Lost stamps are forbidden to it."""


@dataclass(slots=True, eq=False)
class Promises:
    """The ledger of one schedule."""

    database: Database
    lease: int
    say: Callable[[str], None]
    told: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, FIRST))
    own: dict[int, dict[str, int]] = field(default_factory=dict)
    told_since_failover: bool = False
    open: list[Floors] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def begin(self, client: int, *, linear: bool) -> Floors:
        """Fix what a request that begins now may expect."""
        floors = Floors(
            dict(self.told),
            dict(self.own.get(client, {})),
            dict(self.database.value) if linear else {},
            self.told_since_failover or linear,
        )
        self.open.append(floors)
        return floors

    def tell(self, client: int, stamps: Mapping[str, int], mode: str, arrived: float) -> None:
        """A writer has its answer, which had come from the app at `arrived`."""
        kept = {key: stamp for key, stamp in stamps.items() if stamp not in self.database.lost}
        if mode == "strict":
            _raise(self.told, kept)
            self.told_since_failover |= arrived > self.database.failed_over_at
        _raise(self.own.setdefault(client, {}), kept)

    def fail_over(self) -> None:
        """Nobody can be promised what the database has lost."""
        self.told_since_failover = False
        every = [self.told, *self.own.values()]
        for floors in self.open:
            every += [floors.strict, floors.session, floors.linear]
            floors.ghosts = False
        for one in every:
            for key, stamp in one.items():
                one[key] = min(stamp, self.database.value[key])

    def check(
        self, floors: Floors, values: Mapping[str, int], now: float, how: str, *, lenient: bool
    ) -> None:
        """Look at an answer. `lenient` ones come straight from a replica: nothing is promised."""
        self.open.remove(floors)
        if lenient:
            return
        for key, stamp in values.items():
            for promise, floor in (
                ("strict", floors.strict),
                ("session", floors.session),
                ("linear", floors.linear),
            ):
                if stamp < floor.get(key, 0):
                    self.break_(promise, f"{how}: {key} is {stamp}, at least {floor[key]} was due")
            if stamp in self.database.lost and floors.ghosts:
                self.break_("ghost", f"{how}: {key} is {stamp}, which was lost")
            if how.startswith("hit"):
                self._bounded(key, stamp, now, how)

    def forget(self, floors: Floors) -> None:
        """The request is given up."""
        self.open.remove(floors)

    def _bounded(self, key: str, stamp: int, now: float, how: str) -> None:
        if stamp in self.database.lost:
            if now > self.database.failed_over_at + self.lease:
                self.break_("bounded", f"{how}: {key} is {stamp}, lost longer ago than the lease")
            return
        due = self.database.value_at(key, now - self.lease - 1)
        if stamp < due:
            self.break_("bounded", f"{how}: {key} is {stamp}, but {due} is older than the lease")

    def break_(self, promise: str, text: str) -> None:
        """Record a broken promise."""
        self.violations.append(Violation(promise, text))
        self.say(f"BROKEN, {promise}: {text}")


def _raise(floors: dict[str, int], stamps: Mapping[str, int]) -> None:
    for key, stamp in stamps.items():
        floors[key] = max(floors.get(key, 0), stamp)
