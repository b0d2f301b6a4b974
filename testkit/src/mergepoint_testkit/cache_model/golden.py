"""The table of cases by which the edge's own decisions are compared with the model's.

Place:  tests/cache_model, edge/crates/core -> tests/golden/cache_rules.json <- [cache_model.golden]
Rule:   every verdict is computed by `decisions`; no case stands on the very moment a lease ends.

`python -m mergepoint_testkit.cache_model.golden FILE` writes the table.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mergepoint_testkit.cache_model import decisions
from mergepoint_testkit.cache_model.decisions import Asked, Mark, Pulled, Source, Stored

Case = dict[str, Any]  # JSON
NOW = 10.0
LEASE_S = 2.0


def cases() -> list[Case]:
    """Return every case, in the file's order."""
    makers = (_matching, _filling, _two_sources, _serving, _preparing, _joining, _receiving)
    return [case for maker in (*makers, _leases, _holds, _barriers) for case in maker()]


def text() -> str:
    """Return the file, one case in a line."""
    lines = ",\n".join("  " + json.dumps(case, separators=(", ", ": ")) for case in cases())
    return f'{{"version": 1, "cases": [\n{lines}\n]}}\n'


def _matching() -> Iterator[Case]:
    tags = ("d/x", "d/x:id=1", "d/x:id=12", "d/xy", "d/y:id=1", "e/x:id=1", "@shop/news")
    lists: tuple[list[str], ...] = (
        ["d/x"],
        ["d/x:id=1"],
        ["d/x:*"],
        ["d/x", "d/x:*"],
        ["d/y:*"],
        ["@shop/news"],
        [],
    )
    for tag, invalidated in itertools.product(tags, lists):
        struck = decisions.struck(tag, invalidated)
        given = {"tag": tag, "invalidated": invalidated}
        yield {"decision": "struck", "given": given, "verdict": "struck" if struck else "kept"}


def _filling() -> Iterator[Case]:
    asked: tuple[list[str] | None, ...] = (None, [], ["d/x"], ["d/x:id=1"], ["d/y", "d/x:id=1"])
    invalidated: tuple[dict[str, int], ...] = (
        {},
        {"d/x": 7, "d/x:id=1": 7},
        {"d/x": 5, "d/x:id=1": 5},
        {"d/x": 7, "d/x:*": 7},
    )
    sources = [
        Source(generation=2, round=8, forgotten=forgotten, lease_end=lease_end, last=last)
        for last in invalidated
        for forgotten in (0, 5, 6)
        for lease_end in (NOW + 1, NOW - 1)
    ]
    for tags, source, generation in itertools.product(asked, sources, (1, 2)):
        yield from _fill(tags, {"d": Mark(generation, 5)}, {"d": source})


def _two_sources() -> Iterator[Case]:
    good = Source(generation=1, round=3, lease_end=NOW + 1)
    lapsed = Source(generation=1, round=3, lease_end=NOW - 1)
    flushed = Source(generation=2, round=4, lease_end=NOW + 1)
    marks = {"d": Mark(1, 3), "e": Mark(1, 3)}
    for tags in (["d/x"], ["e/x"], ["d/x", "e/x"], ["f/x"], ["d/x", "f/x"]):
        for other in (good, lapsed, flushed):
            yield from _fill(tags, marks, {"d": good, "e": other})


def _fill(
    tags: list[str] | None, marks: dict[str, Mark], sources: dict[str, Source]
) -> Iterator[Case]:
    given = {
        "tags": tags,
        "marks": {name: _mark(one) for name, one in marks.items()},
        "sources": {name: _source(one) for name, one in sources.items()},
        "now": NOW,
    }
    asked = None if tags is None else tuple(tags)
    stored = decisions.store(asked, marks, sources, NOW)
    yield {"decision": "store", "given": given, "verdict": stored}
    delivered = decisions.deliver(asked, marks, sources, NOW)
    yield {"decision": "deliver", "given": given, "verdict": delivered}


def _serving() -> Iterator[Case]:
    entries: list[Stored | None] = [None]
    for expires, stale_for, gone in itertools.product(
        (NOW + 1, NOW, NOW - 1, NOW - 5), (0.0, 3.0), (None, NOW - 0.5)
    ):
        entries.append(Stored(("d/x",), expires, stale_for, gone))
    for entry, end in itertools.product(entries, (NOW + 1, NOW - 1)):
        sources = {"d": Source(lease_end=end)}
        given = {"entry": _entry(entry), "sources": _ends(sources), "now": NOW}
        yield {"decision": "serve", "given": given, "verdict": decisions.serve(entry, sources, NOW)}
    for tags in ((), ("d/x", "e/x"), ("e/x",)):
        entry = Stored(tags, NOW + 1)
        sources = {"d": Source(lease_end=NOW - 1), "e": Source(lease_end=NOW + 1)}
        given = {"entry": _entry(entry), "sources": _ends(sources), "now": NOW}
        yield {"decision": "serve", "given": given, "verdict": decisions.serve(entry, sources, NOW)}


def _preparing() -> Iterator[Case]:
    for end, linear, wrote, pull in itertools.product(
        (NOW + 1, NOW - 1), (False, True), (False, True), ("none", "done", "failed")
    ):
        sources = {"d": Source(lease_end=end)}
        verdict = decisions.prepare(sources, NOW, linear=linear, wrote=wrote, pull=pull)
        given = {"sources": _ends(sources), "linear": linear, "wrote": wrote, "pull": pull}
        yield {"decision": "prepare", "given": {**given, "now": NOW}, "verdict": verdict}


def _joining() -> Iterator[Case]:
    for mine, theirs, other in itertools.product((1, 2, 3), (1, 2, 3), (None, 1, 2)):
        marks = {"d": Mark(mine, 4)}
        sources = {"d": Source(generation=theirs, round=9)}
        if other:
            sources["e"] = Source(generation=other)
            marks["e"] = Mark(1, 0)
        given = {
            "marks": {name: _mark(one) for name, one in marks.items()},
            "generations": {name: one.generation for name, one in sources.items()},
        }
        yield {"decision": "join", "given": given, "verdict": decisions.join(marks, sources)}


def _receiving() -> Iterator[Case]:
    asked: tuple[Asked | None, ...] = (
        None,
        Asked(4, 2, "a"),
        Asked(4, 1, "a"),
        Asked(4, 2, "b"),
        Asked(3, 2, "a"),
    )
    source = Source(connection=4, epoch="a", at=7, generation=2)
    for ask, at, epoch, flush in itertools.product(asked, (6, 7, 8), ("a", "b"), (False, True)):
        for connection in (4, 3):
            pulled = Pulled(epoch, 0, frozenset(), flush, 1.0, at)
            given = {
                "asked": ask
                and {
                    "connection": ask.connection,
                    "generation": ask.generation,
                    "epoch": ask.epoch,
                },
                "connection": connection,
                "pulled": {"at": at, "epoch": epoch, "flush": flush},
                "source": {"connection": 4, "generation": 2, "epoch": "a", "at": 7},
            }
            verdict = decisions.receive(ask, connection, pulled, source)
            yield {"decision": "receive", "given": given, "verdict": verdict}


def _leases() -> Iterator[Case]:
    for left in (0.0, 1.5, 2.0, 3.0):
        given = {"sent": NOW, "lease_s": LEASE_S, "lease_left_s": left}
        end = decisions.lease_end(NOW, LEASE_S, left)
        yield {"decision": "lease_end", "given": given, "verdict": end}


def _holds() -> Iterator[Case]:
    needs: tuple[tuple[int, int] | None, ...] = (None, (4, 6), (4, 7), (4, 8), (3, 1))
    for needed, arrived in itertools.product(needs, (NOW - 3, NOW - 2.5, NOW - 1)):
        source = Source(connection=4, at=7)
        given = {
            "arrived": arrived,
            "now": NOW,
            "lease_s": LEASE_S,
            "needed": needed and {"connection": needed[0], "at": needed[1]},
            "source": {"connection": 4, "at": 7},
        }
        verdict = decisions.release(arrived, NOW, LEASE_S, needed, source)
        yield {"decision": "release", "given": given, "verdict": verdict}


def _barriers() -> Iterator[Case]:
    for waits, arrived, started in itertools.product(
        (0, 1), (NOW - 3, NOW - 1), (NOW - 9, NOW - 1)
    ):
        given = {"waits": waits, "arrived": arrived, "started": started, "now": NOW}
        given["lease_s"] = LEASE_S
        verdict = decisions.barrier(waits, arrived, started, NOW, LEASE_S)
        yield {"decision": "barrier", "given": given, "verdict": verdict}
    for connected, ended in itertools.product((True, False), (NOW - 3, NOW - 1)):
        there = decisions.present(connected, ended, NOW, LEASE_S)
        given = {"connected": connected, "ended": ended, "now": NOW, "lease_s": LEASE_S}
        yield {"decision": "present", "given": given, "verdict": "present" if there else "gone"}


def _mark(mark: Mark) -> Case:
    return {"generation": mark.generation, "round": mark.round}


def _source(source: Source) -> Case:
    names = ("generation", "round", "forgotten", "lease_end", "last")
    return {name: getattr(source, name) for name in names}


def _ends(sources: dict[str, Source]) -> Case:
    return {name: {"lease_end": one.lease_end} for name, one in sources.items()}


def _entry(entry: Stored | None) -> Case | None:
    if entry is None:
        return None
    return {
        "tags": list(entry.tags),
        "expires": entry.expires,
        "stale_for": entry.stale_for,
        "invalidated": entry.invalidated_at is not None,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
