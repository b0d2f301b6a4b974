"""`python -m mergepoint_testkit.cache_model`: run schedules, show the shortest that fails.

Place:  the command line -> [cache_model.__main__] -> cache_model.explore, cache_model.shrink
Rule:   ends with 1 when a promise was broken, 2 when it was asked for what does not exist.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from mergepoint_testkit.cache_model.explore import Outcome, explore, run
from mergepoint_testkit.cache_model.profiles import PROFILES, Profile, schedule
from mergepoint_testkit.cache_model.promises import PROMISES
from mergepoint_testkit.cache_model.shrink import shrink
from mergepoint_testkit.cache_model.switches import NAMES, SPARE, SWITCHES

SEEDS_MAX = 10_000_000


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say; return the exit code."""
    asked = _parser().parse_args(arguments)
    off = frozenset(asked.without)
    unknown = off - NAMES
    if unknown:
        print(
            f"no rule is called {', '.join(sorted(unknown))}; --rules lists them", file=sys.stderr
        )
        return 2
    if asked.rules:
        for one in SWITCHES:
            print(f"{one.name:<14} {one.says} (--profile {one.profile} --seeds {one.budget})")
        for one in SPARE:
            print(f"{one.name:<14} {one.says} (saves work, no promise needs it)")
        return 0
    if not 0 < asked.seeds <= SEEDS_MAX:
        print(f"--seeds is {asked.seeds}; 1 to {SEEDS_MAX} can be run", file=sys.stderr)
        return 2
    profile = PROFILES[asked.profile]
    first = _sweep(range(asked.first, asked.first + asked.seeds), profile, off)
    if first is None:
        return 0
    if asked.show:
        _show(first, profile, off)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mergepoint_testkit.cache_model",
        description="Explore the cache protocol: random schedules, every promise checked.",
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="normal")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="RULE",
        help="switch a rule off; repeatable",
    )
    parser.add_argument("--rules", action="store_true", help="list the rules and end")
    parser.add_argument(
        "--no-trace", dest="show", action="store_false", help="count only, shrink nothing"
    )
    return parser


def _sweep(seeds: range, profile: Profile, off: frozenset[str]) -> Outcome | None:
    first: Outcome | None = None
    broken: Counter[str] = Counter()
    failed = reads = hits = 0
    for outcome in explore(seeds, profile, off):
        reads += outcome.reads
        hits += outcome.hits
        broken.update(outcome.promises)
        if outcome.violations:
            failed += 1
            first = first or outcome
    without = f" without {', '.join(sorted(off))}" if off else ""
    print(f"{len(seeds)} schedules, {profile.name}{without}: {reads} reads, {hits} hits")
    print(f"{failed} schedules broke a promise")
    for promise, count in broken.most_common():
        print(f"  {count:>6} {promise}: {PROMISES[promise]}")
    return first


def _show(outcome: Outcome, profile: Profile, off: frozenset[str]) -> None:
    promise = outcome.violations[0].promise
    steps = schedule(outcome.seed, profile)
    shorter = shrink(steps, profile, off, promise)
    print(f"\nseed {outcome.seed}, {len(steps)} steps shrunk to {len(shorter)}:")
    for line in run(shorter, profile, off, tracing=True).trace:
        print(line)
        if f"BROKEN, {promise}" in line:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
