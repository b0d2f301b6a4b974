"""The race finds each fault of a cache, and none in one that has both guards."""

from __future__ import annotations

import pytest
from mergepoint_testkit.cache_race.origin import Origin
from mergepoint_testkit.cache_race.race import Race
from mergepoint_testkit.cache_race.recipe import Cache, Recipe, Unusable, parse

from .conftest import served
from .tiny_cache import TinyCache

PURGE = parse("PURGE {path}", [], "")
WRITE = parse("POST {path}", [], "")


def race(origin: Origin, cache: TinyCache, recipe: Recipe = PURGE) -> Race:
    # Nobody waits so long: who has a guard comes to the origin, who has none is seen to wait.
    return Race(origin, Cache("127.0.0.1", cache.port), recipe, wait_s=20.0)


@pytest.mark.parametrize("recipe", [PURGE, WRITE], ids=["purge", "write"])
def test_a_cache_with_both_guards_serves_nothing_stale(origin: Origin, recipe: Recipe) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=True)) as cache:
        test = race(origin, cache, recipe)
        test.control()
        made = [test.once() for _ in range(3)]

    assert [(one.during, one.after, one.later) for one in made] == [(1, 2, 2)] * 3


def test_a_cache_without_a_guard_keeps_the_old_page_for_ever(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=False, waiter_guard=False)) as cache:
        test = race(origin, cache)
        test.control()
        test.waits = cache.joined.wait
        made = test.once()

    assert made.after_is_stale
    assert made.kept_is_stale


def test_a_waiter_that_is_given_the_old_render_is_found_though_nothing_is_kept(
    origin: Origin,
) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=False)) as cache:
        test = race(origin, cache)
        test.waits = cache.joined.wait
        made = test.once()

    assert made.after_is_stale
    assert not made.kept_is_stale


def test_an_old_render_that_is_stored_over_the_new_one_is_found(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=False, waiter_guard=True)) as cache:
        made = race(origin, cache).once()

    assert not made.after_is_stale
    assert made.kept_is_stale


def test_a_cache_that_keeps_nothing_is_not_judged(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=True)) as cache:
        cache.keeps = False
        with pytest.raises(Unusable, match="keeps nothing"):
            race(origin, cache).control()


def test_a_recipe_that_purges_nothing_is_not_judged(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=True)) as cache:
        cache.purging = False
        with pytest.raises(Unusable, match="the recipe does not purge it"):
            race(origin, cache).control()


def test_a_purge_that_is_refused_is_not_judged(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=True)) as cache:
        cache.acknowledges = False
        with pytest.raises(Unusable, match=r"PURGE /race/.* was answered 405"):
            race(origin, cache).control()


def test_a_purge_by_command_is_given_path_and_tag(origin: Origin) -> None:
    with served(TinyCache(origin.port, fill_guard=True, waiter_guard=True)) as cache:
        send = (
            "import sys, http.client as h; c = h.HTTPConnection('127.0.0.1', int(sys.argv[1]));"
            "c.request('PURGE', sys.argv[2]); sys.exit(c.getresponse().status != 200)"
        )
        command = f'python3 -c "{send}" {cache.port} {{path}} {{tag}}'
        made = race(origin, cache, parse("", [], command)).once()

    assert (made.after, made.later) == (2, 2)


@pytest.mark.parametrize(
    ("request_", "fields", "told"),
    [
        ("PURGE", [], "is not a method and a path"),
        ("PU/RGE {path}", [], "is not a method and a path"),
        ("PURGE {path}", ["xkey"], "is not a header"),
    ],
)
def test_a_recipe_that_says_nothing_is_refused(request_: str, fields: list, told: str) -> None:
    with pytest.raises(Unusable, match=told):
        parse(request_, fields, "")
