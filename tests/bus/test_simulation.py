"""What must be true of every world, whatever fails in it. A failure names its seed."""

from __future__ import annotations

import os

import pytest

from .simulation import World, run

SEEDS = 250
SEEDS_LONG = 20_000
FIRST = int(os.environ.get("MERGEPOINT_SEED", "1"))


def check(world: World) -> None:
    """Fail with the seed when something is not as it must be."""
    seed = world.seed
    done = set(world.finished) | set(world.unknown) | world.dead
    assert set(world.accepted) <= done, f"seed {seed}: an accepted job vanished"
    assert world.left == 0, f"seed {seed}"
    repeats = world.duplicates + 1
    twice = {id_ for id_, count in world.finished.items() if count > repeats}
    assert not twice, f"seed {seed}: finished by two: {twice}"
    assert world.stale == [], f"seed {seed}: finished by who had lost it"
    assert world.lost_alive == [], f"seed {seed}: lost by a worker that was alive"
    assert world.out_of_turn == [], f"seed {seed}"
    assert world.received + world.lost == world.published, f"seed {seed}: unreported loss"
    assert sum(world.outcomes.values()) == world.asked, f"seed {seed}"
    assert world.outcomes["wrong"] == 0, f"seed {seed}: somebody else's answer"


def test_whatever_fails_the_promises_hold() -> None:
    crashes = deaths = losses = paused = 0
    for seed in range(FIRST, FIRST + SEEDS):
        world = run(seed, duplicates=seed % 5 == 0)
        check(world)
        crashes += world.crashes
        deaths += len(world.dead)
        losses += world.lost
        paused += world.lost_paused
    # A world in which nothing goes wrong proves nothing.
    assert min(crashes, deaths, losses, paused) > SEEDS / 10


def test_the_same_seed_is_the_same_world() -> None:
    for seed in (3, 14, 159):
        first, second = run(seed), run(seed)
        assert first == second
        assert first.trace


@pytest.mark.soak
def test_whatever_fails_the_promises_hold_in_thousands_of_worlds() -> None:
    for seed in range(SEEDS_LONG):
        check(run(seed, duplicates=seed % 5 == 0))
