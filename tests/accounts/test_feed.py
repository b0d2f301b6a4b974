"""The feed: an edge that follows it knows exactly what has ended, whatever happened meanwhile.

Place:  make test
Rule:   a model beside the real thing; writers and readers are threads that race.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import KEEP_S
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.sessions import Started
from mergepoint.identity.accounts.store.errors import StoreLost

from .acting import MovedClock, add
from .conftest import Open
from .test_sessions import claims


@dataclass
class Edge:
    """What an edge does with the feed, by the contract's words."""

    accounts: Accounts
    epoch: str = ""
    position: int = 0
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    resets: int = 0

    def poll(self) -> None:
        answer = self.accounts.feed.read(self.epoch, self.position)
        if answer["reset"] or answer["epoch"] != self.epoch:
            self.kept.clear()
            self.resets += 1
        positions = [entry["position"] for entry in answer["revocations"]]
        assert positions == sorted(positions)
        if not answer["reset"]:
            assert all(p > self.position for p in positions)
        assert not positions or positions[-1] <= answer["position"]
        self.kept.update((entry["position"], entry) for entry in answer["revocations"])
        self.epoch, self.position = answer["epoch"], answer["position"]

    def ends(self, told: dict[str, Any]) -> bool:
        ids = {
            "session": told.get("sid"),
            "subject": told["sub"],
            "token": told.get("token"),
            "site": "",
        }
        return any(
            entry["id"] == ids[entry["kind"]] and told["iat"] < entry["before"]
            for entry in self.kept.values()
        )


@dataclass
class Proof:
    """A token somebody holds, and whether it should still count."""

    user: str
    told: dict[str, Any]
    refresh: str = ""
    stands: bool = True
    """Whether it, or its session, was ended since."""
    session_stands: bool = True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["login", "refresh", "logout", "all", "roles", "disable", "password", "site", "pass"]
        ),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("edges", [2])
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(steps=STEPS)
def test_an_edge_that_follows_the_feed_believes_exactly_the_proofs_that_stand(
    opened: Open, clock: MovedClock, edges: int, steps: list[tuple[str, int, int]]
) -> None:
    """A new set of people for every example; the feed goes on, as it does in life."""
    accounts = opened()
    by = Caller()
    tag = accounts.feed.read("", 0)["position"]
    run = f"p{tag}x{len(accounts.people.search(limit=500))}"
    people = [accounts.people.add(f"{run}n{n}", by, roles=["reader"]) for n in range(3)]
    proofs: list[Proof] = []
    followers = [Edge(accounts) for _ in range(edges)]
    for turn, (what, who, which) in enumerate(steps):
        act(accounts, clock, by, people[who], what, which, proofs)
        if turn % 3 != 2:  # the second edge misses some polls
            followers[0].poll()
        followers[turn % edges].poll()
    for follower in followers:
        follower.poll()
        for proof in proofs:
            young = clock.now_s - proof.told["iat"] < KEEP_S
            if young:
                assert follower.ends(proof.told) == (not proof.stands), (what, proof)
    for proof in proofs:
        found = accounts.sessions.refresh(proof.refresh, by)
        assert (found is not None) == proof.session_stands


def act(
    accounts: Accounts,
    clock: MovedClock,
    by: Caller,
    person: Any,
    what: str,
    which: int,
    proofs: list[Proof],
) -> None:
    """Do one step, in the real thing and in the model."""
    mine = [p for p in proofs if p.user == person.user]
    live = [p for p in mine if p.session_stands]
    if what == "login":
        hold(accounts, proofs, person.user, accounts.sessions.start(person.sub, ["pwd"], by))
    elif what == "refresh" and live:
        chosen = live[which % len(live)]
        again = accounts.sessions.refresh(chosen.refresh, by)
        assert again is not None
        hold(accounts, proofs, person.user, again, chosen.refresh)
    elif what == "logout" and live:
        refresh = live[which % len(live)].refresh
        accounts.sessions.end(refresh.partition(".")[0], by)
        end([p for p in mine if p.refresh == refresh], sessions=True)
    elif what == "all":
        accounts.sessions.end_all(person.sub, by)
        end(mine, sessions=True)
    elif what == "roles":
        before = accounts.people.get(person.sub)
        after = accounts.people.set_roles(person.sub, ["developer"] if which % 2 else [], by)
        if before is not None and before.roles != after.roles:
            end(mine, sessions=False)
    elif what == "disable":
        accounts.people.disable(person.sub, by)
        accounts.people.enable(person.sub, by)
        end(mine, sessions=True)
    elif what == "password":
        accounts.passwords.set(person.sub, "plum tree in march", by)
        end(mine, sessions=True)
    elif what == "site":
        accounts.sessions.end_everybody(by)
        end(proofs, sessions=True)
    elif what == "pass":
        clock.pass_s((0.0, 0.0005, 1.0, 400.0, 2000.0)[which % 5])


def hold(
    accounts: Accounts, proofs: list[Proof], user: str, started: Started | None, refresh: str = ""
) -> None:
    assert started is not None
    if not refresh:
        refresh = started.set_cookie[1].partition(";")[0].partition("=")[2]
    proofs.append(Proof(user, claims(accounts, started.token), refresh))


def end(proofs: list[Proof], *, sessions: bool) -> None:
    for proof in proofs:
        proof.stands = False
        if sessions:
            proof.session_stands = False


def test_an_edge_without_an_epoch_is_given_the_whole(accounts: Accounts, by: Caller) -> None:
    ada = add(accounts, "ada", by)
    accounts.people.set_roles(ada.sub, ["reader"], by)

    first = accounts.feed.read("", 0)
    again = accounts.feed.read(first["epoch"], first["position"])

    assert first["reset"]
    assert len(first["revocations"]) == first["position"] == 1
    assert not again["reset"]
    assert again["revocations"] == []
    assert set(first) == {"epoch", "position", "reset", "keys", "revocations"}
    assert set(first["revocations"][0]) == {"position", "kind", "id", "before", "at"}


@pytest.mark.parametrize(("epoch", "ahead"), [("another", 0), (None, 1), (None, 10**18)])
def test_a_position_that_never_was_is_a_reset(
    accounts: Accounts, by: Caller, epoch: str | None, ahead: int
) -> None:
    now = accounts.feed.read("", 0)

    answer = accounts.feed.read(epoch or now["epoch"], now["position"] + ahead)

    assert answer["reset"]
    assert answer["position"] == now["position"]


def test_what_is_an_hour_old_is_forgotten_and_a_late_edge_begins_anew(
    accounts: Accounts, by: Caller, clock: MovedClock
) -> None:
    ada = add(accounts, "ada", by)
    for roles in (["reader"], []):
        accounts.people.set_roles(ada.sub, roles, by)
    late, quick = Edge(accounts), Edge(accounts)
    late.poll()
    quick.poll()
    accounts.people.set_roles(ada.sub, ["reader"], by)
    quick.poll()
    clock.pass_s(KEEP_S + 1)
    accounts.people.set_roles(ada.sub, [], by)
    for edge in (late, quick):
        edge.poll()

    assert (late.resets, quick.resets) == (2, 1)
    assert list(late.kept) == [4]
    with accounts.store.read() as session:
        assert session.execute(text("SELECT count(*) FROM accounts_revocation")).scalar() == 1


def test_what_is_pruned_is_older_than_any_proof_can_be(accounts: Accounts) -> None:
    longest_s = 1800.0 + 900.0 + 30.0  # token_life_s at most, stale_s, skew_s

    assert longest_s < KEEP_S


def test_two_workers_tell_the_same_at_once(opened: Open, by: Caller) -> None:
    """No worker answers from what it remembers when another has written."""
    one, other = opened(), opened()
    ada = add(one, "ada", by)
    other.feed.read("", 0)
    for n in range(5):
        one.people.set_roles(ada.sub, ["reader"] if n % 2 == 0 else [], by)

        assert other.feed.read("", 0) == one.feed.read("", 0)
        assert other.feed.read("", 0)["position"] == by.position == n + 1


def patiently(act: Callable[[], object]) -> None:
    """Do it again while a busy machine keeps the database from answering in time."""
    for left in reversed(range(50)):
        try:
            act()
        except StoreLost:
            if not left:
                raise
        else:
            return


def test_positions_come_in_the_order_of_commits_under_many_writers(
    opened: Open, by: Caller
) -> None:
    """A reader beside eight writers never sees a position appear below one it has read."""
    accounts = opened()
    people = [add(accounts, f"user{n}", by) for n in range(8)]
    done = threading.Event()
    edge = Edge(accounts)
    wrong: list[BaseException] = []

    def write(sub: str) -> None:
        try:
            for n in range(6):
                patiently(
                    lambda n=n: accounts.people.set_roles(
                        sub, ["reader"] if n % 2 == 0 else [], Caller()
                    )
                )
        except BaseException as error:
            wrong.append(error)

    def follow() -> None:
        try:
            while not done.is_set():
                patiently(edge.poll)
        except BaseException as error:
            wrong.append(error)

    writers = [threading.Thread(target=write, args=(person.sub,)) for person in people]
    reader = threading.Thread(target=follow)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(120)
    done.set()
    reader.join(60)
    edge.poll()

    assert wrong == []
    assert sorted(edge.kept) == list(range(1, 49))
    assert edge.position == 48


def test_reading_the_feed_writes_nothing(accounts: Accounts, by: Caller) -> None:
    add(accounts, "ada", by)
    statements: list[str] = []
    from sqlalchemy import event

    event.listen(
        accounts.store.engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: statements.append(statement),
    )
    now = accounts.feed.read("", 0)
    statements.clear()
    accounts.feed.read(now["epoch"], now["position"])

    selects = [s for s in statements if not s.startswith("BEGIN")]
    assert len(selects) == 1
    assert selects[0].startswith("SELECT")
