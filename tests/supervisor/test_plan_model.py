"""The plan under random events: whatever happens, in whatever order, its promises hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mergepoint.core.endpoints import Failure, SlotGroup
from mergepoint.supervisor import pool as pools
from mergepoint.supervisor.contract import AppSpec
from mergepoint.supervisor.plan import (
    LIVE_PER_SLOT_MAX,
    SURGE_MAX,
    Drain,
    Kill,
    Start,
    Stop,
    decide,
    performed,
    wake_at_s,
    with_started,
)  # fmt: skip
from mergepoint.supervisor.pool import Canary, Phase, Pool

WHY = Failure("it broke")
SETTLING_STEPS_MAX = 400


class Site(RuleBasedStateMachine):
    """One pool; processes are a set of keys, and the world decides what befalls them."""

    @initialize(
        count=st.integers(1, 4), chained=st.booleans(), drain_s=st.sampled_from([1.0, 30.0]),
    )  # fmt: skip
    def begin(self, count: int, chained: bool, drain_s: float) -> None:
        self.now, self.keys, self.releases = 0.0, 0, 1
        self.spec = AppSpec(
            "shop", "d", ("run",), "unix", {}, Path("/"), drain_s=drain_s, kill_s=2.0,
            backoff_s=0.5, backoff_s_max=8.0, chained=chained,
        )  # fmt: skip
        self.pool = Pool("shop", self.spec, "r1", count)
        self.broken: set[str] = set()

    def act(self) -> None:
        """Ask the plan until it has nothing more to say, as the loop does, checking each answer."""
        for _ in range(50):
            before = self.pool
            actions = decide(before, self.now, boots_max=8)
            if not actions:
                return
            self.check(before, actions)
            for action in actions:
                if isinstance(action, Start):
                    self.keys += 1
                    self.pool = with_started(
                        self.pool, action, self.keys, f"a{self.keys}", self.now
                    )
                else:
                    self.pool = performed(self.pool, action, self.now)
                    if isinstance(action, Kill):
                        self.pool = pools.exited(self.pool, action.key, self.now, WHY)
        raise AssertionError(f"the plan never rests: {self.pool}")

    def check(self, before: Pool, actions: list[Start | Drain | Stop | Kill]) -> None:
        serving = {p.key for p in before.processes if p.phase is Phase.READY}
        drained = {a.key for a in actions if isinstance(a, Drain)}
        if serving and not before.ending and not before.chained:
            assert serving - drained, "something served, and now nothing does"
        if before.chained and not before.ending and before.count > 1 and len(serving) > 1:
            assert serving - drained, "a chained pool drains one at a time"
        for action in actions:
            if isinstance(action, Start):
                assert self.now >= before.slot(action.slot).retry_at_s, "back-off was not respected"
                assert not before.ending
            if isinstance(action, Stop):
                found = before.process(action.key)
                assert found is not None and found.phase in {Phase.STARTING, Phase.DRAINING}

    def pick(self, phase: Phase, choice: int) -> int | None:
        keys = [p.key for p in self.pool.processes if p.phase is phase and not p.doomed]
        return keys[choice % len(keys)] if keys else None

    @rule(choice=st.integers(0, 9))
    def a_start_succeeds_or_its_release_is_broken(self, choice: int) -> None:
        self.act()
        key = self.pick(Phase.STARTING, choice)
        if key is None:
            return
        process = self.pool.process(key)
        assert process is not None
        if process.release in self.broken:
            self.pool = pools.unready(self.pool, key, self.now, WHY)
        else:
            self.pool = pools.ready(self.pool, key, self.now)

    @rule(choice=st.integers(0, 9), phase=st.sampled_from(list(Phase)))
    def a_process_dies(self, choice: int, phase: Phase) -> None:
        self.act()
        if (key := self.pick(phase, choice)) is not None:
            self.pool = pools.exited(self.pool, key, self.now, WHY)

    @rule(choice=st.integers(0, 9))
    def a_process_has_drained(self, choice: int) -> None:
        self.act()
        if (key := self.pick(Phase.DRAINING, choice)) is not None:
            self.pool = pools.changed(self.pool, key, drained=True)

    @rule(choice=st.integers(0, 9))
    def a_process_must_be_replaced(self, choice: int) -> None:
        if (key := self.pick(Phase.READY, choice)) is not None:
            self.pool = pools.retired(self.pool, key, "old")

    @rule(broken=st.booleans(), canary=st.booleans())
    def a_release_comes(self, broken: bool, canary: bool) -> None:
        self.releases += 1
        name = f"r{self.releases}"
        if broken:
            self.broken.add(name)
        wish = Canary(0.1, 5.0) if canary else None
        self.pool = pools.aimed(self.pool, replace(self.spec, digest=name), name, wish)

    @rule(passes=st.booleans())
    def a_canary_is_judged(self, passes: bool) -> None:
        ready = any(
            p.group is SlotGroup.CANARY and p.phase is Phase.READY for p in self.pool.processes
        )
        if self.pool.canary is not None and ready:
            self.pool = pools.promoted(self.pool) if passes else pools.refused(self.pool, WHY)

    @rule(count=st.integers(1, 5))
    def the_pool_is_scaled(self, count: int) -> None:
        self.pool = replace(self.pool, count=count)

    @rule(tight=st.booleans())
    def memory_changes(self, tight: bool) -> None:
        self.pool = replace(self.pool, tight=tight)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.act()
        self.now += seconds
        self.act()

    @invariant()
    def a_slot_never_holds_more_than_a_roll_needs(self) -> None:
        for slot in {p.slot for p in self.pool.processes}:
            assert sum(p.slot == slot for p in self.pool.processes) <= LIVE_PER_SLOT_MAX

    @invariant()
    def a_wanted_process_is_never_doubled(self) -> None:
        for slot in {p.slot for p in self.pool.processes}:
            coming = [
                p for p in self.pool.processes
                if p.slot == slot and p.phase is Phase.STARTING and not p.doomed
                and p.release == self.pool.slot_release and p.group is SlotGroup.STABLE
            ]  # fmt: skip
            assert len(coming) <= 1

    def teardown(self) -> None:
        """Left in peace with working releases, the pool becomes exactly what is wanted."""
        if not hasattr(self, "pool"):
            return
        self.broken.clear()
        self.pool = replace(self.pool, tight=False)
        for _ in range(SETTLING_STEPS_MAX):
            self.act()
            if self.pool.settled:
                break
            self.peace()
        assert self.pool.settled, f"does not converge: {self.pool}"
        assert all(p.release == self.pool.release for p in self.pool.processes)
        assert len(self.pool.processes) <= self.pool.count + SURGE_MAX

    def peace(self) -> None:
        """Everything under way succeeds; when nothing is, time moves to where the plan wants it."""
        for process in self.pool.processes:
            match process.phase:
                case Phase.STARTING if not process.doomed:
                    self.pool = pools.ready(self.pool, process.key, self.now)
                    return
                case Phase.DRAINING if not process.drained:
                    self.pool = pools.changed(self.pool, process.key, drained=True)
                    return
                case Phase.STOPPING:
                    self.pool = pools.exited(self.pool, process.key, self.now, WHY)
                    return
        if self.pool.canary is not None:
            self.pool = pools.promoted(self.pool)
            return
        wake = wake_at_s(self.pool, self.now)
        assert wake is not None, f"nothing is under way and nothing is waited for: {self.pool}"
        self.now = wake


TestSite = Site.TestCase
TestSite.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
