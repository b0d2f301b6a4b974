"""`python -m mergepoint_testkit.cache_race`: put any HTTP cache to the test.

Place:  the command line -> [cache_race.__main__] -> cache_race.race
Rule:   0 when nothing stale was served, 1 when something was, 2 when the test could not be made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mergepoint_testkit.cache_race.origin import Origin
from mergepoint_testkit.cache_race.race import Race, Try
from mergepoint_testkit.cache_race.recipe import Cache, Recipe, Unusable, parse

TRIES_MAX = 100_000


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say; return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        cache = Cache(*_address(asked.cache, "--cache"))
        host, port = _address(asked.origin, "--origin")
        recipe = parse(asked.purge, asked.header, asked.command)
        return _run(host, port, cache, recipe, asked.tries, asked.wait_s)
    except Unusable as error:
        print(f"cache race: {error}", file=sys.stderr)
        return 2


def _run(host: str, port: int, cache: Cache, recipe: Recipe, tries: int, wait_s: float) -> int:
    if not 0 < tries <= TRIES_MAX:
        raise Unusable(f"--tries is {tries}; 1 to {TRIES_MAX} can be made")
    try:
        origin = Origin(host, port)
    except OSError as error:
        raise Unusable(f"the origin cannot listen on {host}:{port}: {error}") from error
    with origin:
        race = Race(origin, cache, recipe, wait_s=wait_s)
        race.control()
        return _report([race.once() for _ in range(tries)])


def _report(made: list[Try]) -> int:
    after = sum(one.after_is_stale for one in made)
    kept = sum(one.kept_is_stale for one in made)
    print(f"{len(made)} tries: slow render, change, purge acknowledged")
    print(f"  {after:>5} times old: a request begun after the purge was acknowledged")
    print(f"  {kept:>5} times old: a request when all of that was over (kept for its whole life)")
    return 1 if after or kept else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mergepoint_testkit.cache_race",
        description="Does a purge that an HTTP cache acknowledged hold against a render that had"
        " begun before? An origin is started; the cache under test has to forward to it.",
    )
    parser.add_argument("--cache", required=True, metavar="HOST:PORT", help="the cache under test")
    parser.add_argument("--origin", required=True, metavar="HOST:PORT", help="where to listen")
    parser.add_argument(
        "--purge",
        default="PURGE {path}",
        metavar="REQUEST",
        help="method and path of the purge (PURGE {path}); POST is the write itself",
    )
    parser.add_argument(
        "--header", action="append", default=[], help="a header of the purge; repeatable"
    )
    parser.add_argument("--command", default="", help="a command that purges, instead of a request")
    parser.add_argument("--tries", type=int, default=10, help="how many tries (10)")
    parser.add_argument(
        "--wait-s",
        type=float,
        default=1.0,
        help="how long a visitor that does not reach the origin is taken to wait (1.0)",
    )
    return parser


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Unusable(f"{option} is {text!r}; it has to be HOST:PORT")
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
