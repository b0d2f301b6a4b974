"""Run the benchmarks asked for, save each result, and write the table.

Place:  make bench -> [bench] -> bench/results, bench/RESULTS.md
Rule:   a benchmark never fails a test run; it reports.
"""

from __future__ import annotations

import importlib
import sys

from bench.table import write_table

KNOWN = ("p1", "p2", "p10", "p11", "p12", "identity", "queues", "cache", "fresh")


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all."""
    quick = "--quick" in arguments
    names = [a for a in arguments if not a.startswith("-")] or list(KNOWN)
    if unknown := [n for n in names if n not in KNOWN]:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(KNOWN)}", file=sys.stderr)
        return 2
    for name in names:
        for result in importlib.import_module(f"bench.{name}").run(quick=quick):
            if not quick:
                print(f"  saved {result.save()}")
    if not quick:
        print(f"  wrote {write_table()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
