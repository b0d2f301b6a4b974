"""What differs between two texts, line by line.

Place:  [diffs] -> views
Rule:   pure and bounded; the shape is the one the shell's diff template shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT_LINES = 3
LINES_MAX = 5000


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a diff; `kind` is ``add``, ``del``, ``hunk`` or empty for context."""

    kind: str
    old: str
    new: str
    sign: str
    text: str


def rows(before: str, after: str) -> list[Row]:
    """Return the differing lines with a little context; none when the texts are alike."""
    old, new = before.split("\n")[:LINES_MAX], after.split("\n")[:LINES_MAX]
    return list(_rows(old, new))


def _rows(old: list[str], new: list[str]) -> Iterator[Row]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT_LINES):
        yield Row("hunk", "", "", "", f"Line {group[0][1] + 1}")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                    yield Row("", str(i + 1), str(j + 1), " ", old[i])
                continue
            yield from (Row("del", str(i + 1), "", "-", old[i]) for i in range(i1, i2))
            yield from (Row("add", "", str(j + 1), "+", new[j]) for j in range(j1, j2))
