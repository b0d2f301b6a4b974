"""Run schedules, bring each to rest, and say what was broken.

Place:  cache_model.__main__, tests/cache_model -> [cache_model.explore] -> cache_model.actions
Rule:   one schedule, one profile and one set of switches give one outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mergepoint_testkit.cache_model import actions
from mergepoint_testkit.cache_model.fills import PAGES, Request
from mergepoint_testkit.cache_model.profiles import Profile, Schedule, schedule
from mergepoint_testkit.cache_model.promises import Violation
from mergepoint_testkit.cache_model.world import World, Write

READER = 99
"""The client that looks when all is quiet; it has written nothing."""
ROUNDS_MAX = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a schedule."""

    seed: int
    violations: tuple[Violation, ...]
    reads: int
    hits: int
    trace: tuple[str, ...]

    @property
    def promises(self) -> frozenset[str]:
        """The promises that were broken."""
        return frozenset(one.promise for one in self.violations)


def run(
    steps: Schedule, profile: Profile, off: frozenset[str], *, seed: int = 0, tracing: bool = False
) -> Outcome:
    """Run one schedule, and let it come to rest."""
    world = World(profile.pace, off, tracing)
    for kind, x in steps:
        world.tick(1)
        actions.ACTIONS[kind](world, x)
    world.say("the trouble ends")
    _rest(world)
    _look(world)
    told = world.promises.violations
    return Outcome(seed, tuple(told), world.fills.reads, world.fills.hits, tuple(world.trace))


def explore(seeds: Iterable[int], profile: Profile, off: frozenset[str]) -> Iterator[Outcome]:
    """Run the schedules of these seeds."""
    for seed in seeds:
        yield run(schedule(seed, profile), profile, off, seed=seed)


def _rest(world: World) -> None:
    """Mend everything, and let all that has begun come to its end."""
    world.database.reachable = True
    for transaction in list(world.database.open):
        if transaction.state == "durable":
            world.database.show(transaction, world.now)
        else:
            world.database.roll_back(transaction)
    world.database.replicate(len(world.database.visible))
    if world.hub is None:
        world.start_hub()
    for side in (0, 1):
        actions.notice(world, side)
        actions.connect(world, side)
    while any(one.transaction.state == "visible" for one in _unheld(world)):
        actions.answer_write(world, 0)
    lost = _unheld(world)
    world.writes = [one for one in world.writes if one not in lost]
    for message in list(world.late):
        world.carry(message)
    _drain(world)
    # Everything is still, and both edges ask once more: what they hold now, they hold for ever.
    for edge in world.edges:
        world.ask(edge, "pull")
    _drain(world)


def _unheld(world: World) -> list[Write]:
    held = {hold.write for edge in world.edges for hold in edge.holds}
    return [one for one in world.writes if one.number not in held]


def _drain(world: World) -> None:
    for _ in range(ROUNDS_MAX):
        if not _busy(world):
            return
        world.tick(1)
        for message in list(world.wire):
            if message in world.wire:
                world.carry(message)
        actions.hub_step(world, 0)
        for flight in list(world.fills.flights):
            if flight in world.fills.flights:
                world.fills.step(flight)
        for side in (0, 1):
            for choice in range(len(world.edges[side].holds)):
                actions.ask_again(world, side + 2 * choice)
    world.promises.break_("ends", _stuck(world))


def _busy(world: World) -> bool:
    hub = world.hub
    fills = world.fills
    return bool(
        world.wire
        or fills.flights
        or fills.waiting
        or any(edge.holds for edge in world.edges)
        or (hub and (hub.running or hub.waiting or hub.barriers))
    )


def _stuck(world: World) -> str:
    holds = sum(len(edge.holds) for edge in world.edges)
    return f"{len(world.fills.waiting)} requests and {holds} writes still wait"


def _look(world: World) -> None:
    """Read every page at every edge, once all is quiet."""
    for edge in world.edges:
        for page, content in PAGES.items():
            entry = edge.entries.get(page)
            world.say(f"last look: {page} at edge {edge.name}")
            floors = world.promises.begin(READER, linear=False)
            world.fills.read(Request(world.number(), READER, edge, page, False, floors, False))
            _drain(world)
            if entry is None or edge.entries.get(page) is not entry:
                continue
            for key in content.keys:
                value, due = entry.values[key], world.database.value[key]
                if value != due:
                    text = f"{page} at edge {edge.name}: {key} is {value}, the database has {due}"
                    world.promises.break_(
                        "ghost" if value in world.database.lost else "forever", text
                    )
