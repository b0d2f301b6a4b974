"""One try of the race: a slow render, a change, a purge that is acknowledged, and who asks then.

Place:  cache_race.__main__ -> [cache_race.race] -> cache_race.origin, cache_race.recipe
Rule:   the order of the steps is enforced, not hoped for; nothing depends on how fast anybody is.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from mergepoint_testkit.cache_race.origin import Origin, Page
from mergepoint_testkit.cache_race.recipe import REQUEST_S_MAX, Cache, Recipe, Unusable

STEP_S_MAX = 10.0
OLD, NEW = 1, 2


@dataclass(frozen=True, slots=True)
class Try:
    """What three visitors saw; the page's number was 1, and is 2 since the purge."""

    during: int
    """Asked before the change: both numbers are right."""
    after: int
    """Asked after the purge was acknowledged."""
    later: int
    """Asked when everybody else had an answer."""

    @property
    def after_is_stale(self) -> bool:
        """A request begun after the acknowledgement was given the old page."""
        return self.after < NEW

    @property
    def kept_is_stale(self) -> bool:
        """The old page stayed, for as long as it lives."""
        return self.later < NEW


class Race:
    """A cache under test, and the origin it is in front of."""

    def __init__(
        self,
        origin: Origin,
        cache: Cache,
        recipe: Recipe,
        *,
        wait_s: float = 1.0,
        waits: Callable[[], object] | None = None,
    ) -> None:
        """Put `cache` to the test.

        A request that has not reached the origin after `wait_s` is taken to wait for the old
        render. Who can see that in the cache itself gives `waits`, which returns when it does.
        """
        self.origin = origin
        self.cache = cache
        self.recipe = recipe
        self.wait_s = wait_s
        self.waits = waits

    def control(self) -> None:
        """Make sure that the cache keeps pages, and that the recipe works where nothing races.

        Raises Unusable otherwise: its results would mean nothing.
        """
        path, tag = self._fresh()
        page = self.origin.page(path, tag)
        self.cache.number(path)
        self.cache.number(path)
        if page.asked != 1:
            raise Unusable(f"the cache asked {page.asked} times for one page: it keeps nothing")
        self._change(path)
        seen = self.cache.number(path)
        if seen != NEW:
            raise Unusable("the page stayed old though nothing raced: the recipe does not purge it")

    def once(self) -> Try:
        """Run the race once."""
        path, tag = self._fresh()
        page = self.origin.page(path, tag, hold=True)
        with ThreadPoolExecutor(2) as visitors:
            during = visitors.submit(self.cache.number, path)
            if not page.wait_until_asked(1, STEP_S_MAX):
                raise Unusable(f"nobody asked the origin for {path} within {STEP_S_MAX:g} s")
            try:
                self._change(path)
                asked = page.asked
                after = visitors.submit(self.cache.number, path)
                self._until_it_has_its_place(page, asked, after)
            finally:
                page.go_on.set()
            seen = (_result(during), _result(after))
        return Try(*seen, self.cache.number(path))

    def _until_it_has_its_place(self, page: Page, asked: int, after: Future[int]) -> None:
        """Wait until the second visitor has the new page, or waits for the old render."""
        if self.waits:
            self.waits()
        elif page.wait_until_asked(asked + 1, self.wait_s):
            # The old render ends last: what it does to the cache is what the test is about.
            wait([after], STEP_S_MAX)

    def _change(self, path: str) -> None:
        page = self.origin.pages[path]
        if not self.recipe.writes:
            page.write()
        self.recipe.follow(self.cache, path, page.tag)
        if page.value != NEW:
            raise Unusable(f"the write did not reach the origin: {path} is still {page.value}")

    def _fresh(self) -> tuple[str, str]:
        name = secrets.token_hex(6)
        return f"/race/{name}", f"race-{name}"


def _result(one: Future[int]) -> int:
    return one.result(REQUEST_S_MAX)
