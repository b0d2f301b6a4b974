"""What a commit changed, file by file and line by line.

Place:  trees -> [diffs] -> pages
Rule:   bounded by files, bytes and lines; what is left out is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice

from dulwich.diff_tree import TreeChange, tree_changes
from dulwich.objects import Commit
from dulwich.repo import Repo

from browse.repositories import UNREADABLE
from browse.trees import SUBMODULE

FILES_MAX = 100
FILE_BYTES_MAX = 256 * 1024
FILE_LINES_MAX = 4000
SHOWN_LINES_MAX = 6000
LINE_CHARS_MAX = 1000
CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a diff; `kind` is ``add``, ``del``, ``hunk`` or empty for context."""

    kind: str
    old: str
    new: str
    sign: str
    text: str


@dataclass(slots=True)
class Change:
    """One changed file; `note` says why there are no rows."""

    name: str
    path: bytes
    verb: str
    rows: list[Row]
    note: str = ""
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """The files a commit changed; `left_out` when there were more than `FILES_MAX`."""

    files: list[Change]
    left_out: bool


def of_commit(repo: Repo, commit: Commit) -> Changes:
    """Return what the commit changed against its first parent, or all of it for the first one."""
    parent = commit.parents[0] if commit.parents else None
    before = repo.object_store[parent].tree if parent and parent in repo.object_store else None
    found = list(islice(tree_changes(repo.object_store, before, commit.tree), FILES_MAX + 1))
    files: list[Change] = []
    budget = SHOWN_LINES_MAX
    for raw in found[:FILES_MAX]:
        change = _change(repo, raw, budget)
        budget -= len(change.rows)
        files.append(change)
    return Changes(files, len(found) > FILES_MAX)


def rows(before: list[str], after: list[str]) -> Iterator[Row]:
    """Yield the differing lines with a little context; numbers start at 1."""
    matcher = SequenceMatcher(None, before, after, autojunk=True)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        first, last = group[0], group[-1]
        spans = f"-{_span(first[1], last[2])} +{_span(first[3], last[4])}"
        yield Row("hunk", "", "", "", f"@@ {spans} @@")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                    yield Row("", str(i + 1), str(j + 1), " ", _cut(before[i]))
                continue
            yield from (Row("del", str(i + 1), "", "-", _cut(before[i])) for i in range(i1, i2))
            yield from (Row("add", "", str(j + 1), "+", _cut(after[j])) for j in range(j1, j2))


def _span(start: int, end: int) -> str:
    # Lines count from 1; an empty side stands after line `start`, as in every other diff.
    return f"{start + 1},{end - start}" if end > start else f"{start},0"


def _change(repo: Repo, raw: TreeChange, lines_left: int) -> Change:
    old, new = raw.old, raw.new
    path = new.path if new and new.path else old.path
    verb = {"add": "added", "delete": "removed"}.get(raw.type, "changed")
    change = Change(path.decode("utf-8", "replace"), path, verb, [])
    sides = [_lines(repo, side) for side in (old, new)]
    notes = [side for side in sides if isinstance(side, str)]
    if notes:
        change.note = notes[0]
        return change
    before, after = sides
    found = list(rows(before, after))  # type: ignore[arg-type]
    change.added = sum(row.kind == "add" for row in found)
    change.removed = sum(row.kind == "del" for row in found)
    if len(found) > lines_left:
        change.note = "This page is long enough already; open the file to see this change."
    else:
        change.rows = found
        change.note = "" if found else "Only the mode or the name changed."
    return change


def _lines(repo: Repo, side: object) -> list[str] | str:
    sha, mode = getattr(side, "sha", None), getattr(side, "mode", None)
    if not sha:
        return []
    if mode == SUBMODULE:
        return "Points to another repository at another commit."
    try:
        data = repo.object_store[sha].as_raw_string()
    except UNREADABLE:
        return "This version is missing from the repository."
    if b"\0" in data[:8000]:
        return "Binary file."
    if len(data) > FILE_BYTES_MAX or data.count(b"\n") > FILE_LINES_MAX:
        return "Too large to compare here."
    return data.decode("utf-8", "replace").splitlines()


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS_MAX else line[:LINE_CHARS_MAX] + " …"
