"""Clocks that jump: leases, windows and retries go by time that passed, schedules by the wall."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.bus.contract import Limits
from mergepoint.bus.hub import arrivals, holding
from mergepoint.bus.hub.ages import age_after_restart
from mergepoint.bus.hub.arrivals import NewEntry
from mergepoint.bus.hub.settings import HubSettings
from mergepoint.bus.hub.store import Store

HOUR_S = 3600.0


class HandClock:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.wall_s = 1_800_000_000.0
        self.passed_s = 100.0

    def unix_s(self) -> float:
        return self.wall_s

    def monotonic_s(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.passed_s += seconds


class Book:
    """A store without its process, one call a transaction."""

    def __init__(self, directory: Path, clock: HandClock) -> None:
        self.clock = clock
        self._settings = HubSettings(
            state_dir=directory,
            socket=directory / "hub.sock",
            limits=Limits(dedupe_s=600.0),
            durability="fast",
        )
        self.store = Store(self._settings, clock)

    def restart(self, *, down_s: float) -> None:
        self.store.close()
        self.clock.wall_s += down_s
        self.clock.passed_s = 5.0
        self.store = Store(self._settings, self.clock)

    def put(self, id_: str, **how: float) -> bool:
        """Put; tell whether it was a duplicate."""
        self.store.begin(synced=False)
        queue = self.store.parts.queues.make("mail")
        (duplicate,) = arrivals.put(self.store.parts, queue, [NewEntry(id_, b"{}", b"", **how)])  # type: ignore[arg-type]
        self._end()
        return duplicate

    def take(self, lease_s: float = 15.0) -> list[holding.Taken]:
        self.store.begin(synced=False)
        self._due()
        queue = self.store.parts.queues.make("mail")
        taken = holding.take(
            self.store.parts, queue, limit=10, worker="w", session=self, lease_s=lease_s
        )
        self._end()
        return taken

    def ids(self) -> list[str]:
        return [one.held.id for one in self.take()]

    def give_back(self, one: holding.Taken, delay_s: float) -> None:
        self.store.begin(synced=False)
        parts = self.store.parts
        holding.give_back(parts, one.held, delay_s=delay_s, reason="", burn=True)
        self._end()

    def _due(self) -> None:
        parts = self.store.parts
        for held in parts.leases.ended(parts.monotonic_s, 100):
            holding.give_back(parts, held, delay_s=0, reason="over", burn=True)
        self.store.on_time()

    def _end(self) -> None:
        self.store.prepare_commit()
        self.store.database.commit()
        self.store.committed()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path, HandClock())
    yield made
    made.store.close()


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_set_clock_ends_no_lease_and_keeps_none(book: Book, jump_s: float) -> None:
    book.put("a")
    assert len(book.take(lease_s=15.0)) == 1
    book.clock.wall_s += jump_s
    assert book.ids() == []
    book.clock.pass_(16.0)
    assert book.ids() == ["a"]


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_set_clock_lets_no_repeat_through_and_forgets_in_time(book: Book, jump_s: float) -> None:
    book.put("a")
    book.clock.wall_s += jump_s
    assert book.put("a")
    book.clock.pass_(601.0)
    assert not book.put("a")


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_retry_waits_for_time_that_passes(book: Book, jump_s: float) -> None:
    book.put("a")
    (one,) = book.take()
    book.give_back(one, delay_s=30.0)
    book.clock.wall_s += jump_s
    assert book.ids() == []
    book.clock.pass_(31.0)
    assert book.ids() == ["a"]


def test_a_schedule_goes_by_the_wall_and_fires_once(book: Book) -> None:
    book.put("noon", not_before=book.clock.wall_s + HOUR_S)
    assert book.ids() == []
    book.clock.wall_s += HOUR_S + 1
    assert book.ids() == ["noon"]
    book.clock.wall_s -= HOUR_S
    assert book.ids() == []
    book.clock.wall_s += HOUR_S
    assert book.ids() == []


def test_a_message_put_for_later_is_not_lost_by_a_jump_back(book: Book) -> None:
    book.put("noon", not_before=book.clock.wall_s + 10)
    book.clock.wall_s -= HOUR_S
    assert book.ids() == []
    book.clock.pass_(HOUR_S + 11)
    assert book.ids() == ["noon"]


def test_windows_go_on_over_a_restart(book: Book) -> None:
    book.put("a")
    book.restart(down_s=300.0)
    assert book.put("a")
    book.restart(down_s=301.0)
    assert not book.put("a")


def test_a_restart_with_a_clock_set_back_forgets_nothing_early(book: Book) -> None:
    book.put("a")
    book.restart(down_s=-HOUR_S)
    assert book.put("a")
    book.clock.pass_(601.0)
    assert not book.put("a")


def test_numbers_go_on_when_everything_was_worked_off(book: Book) -> None:
    book.put("a")
    (one,) = book.take()
    book.store.begin(synced=False)
    holding.finish(book.store.parts, [one.held])
    book._end()
    book.restart(down_s=1.0)
    book.put("b")
    (other,) = book.take()
    assert other.held.seq > one.held.seq
    assert other.held.token != one.held.token


def test_an_age_never_goes_back_and_believes_no_clock_that_was_set() -> None:
    assert age_after_restart(100.0, 1000.0, 1010.0) == 110.0
    assert age_after_restart(100.0, 1000.0, 0.0) == 100.0
    assert age_after_restart(100.0, 0.0, 4e9) == 100.0 + 30 * 86400


def test_ids_whose_window_is_over_are_removed_in_steps(book: Book) -> None:
    for number in range(30):
        book.put(f"{number}")
    for one in [*book.take(), *book.take()]:
        book.store.begin(synced=False)
        holding.finish(book.store.parts, [one.held])
        book._end()
    book.clock.pass_(601.0)
    book.store.begin(synced=False)
    book.store.housekeep()
    book._end()
    (kept,) = book.store.parts.db.execute("SELECT count(*) FROM seen").fetchone()
    assert kept == 10, "those whose messages still wait"
