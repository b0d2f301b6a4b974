"""Find words in commits, file names and files of the default branch.

Place:  trees -> [search] -> pages, api
Rule:   bounded by time, files, bytes and hits; what was left out is said.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice

from dulwich.repo import Repo

from browse.repositories import Place
from browse.trees import SUBMODULE, Told, told

SEARCH_S_MAX = 1.5
FILES_MAX = 5000
FILE_BYTES_MAX = 256 * 1024
TOTAL_BYTES_MAX = 48 * 1024 * 1024
COMMITS_MAX = 1000
HITS_MAX = 30
QUERY_CHARS_MAX = 200
LINE_CHARS_MAX = 240


@dataclass(frozen=True, slots=True)
class FileHit:
    """A file whose name or text has the words; `line` is 0 when only the name has them."""

    path: bytes
    line: int
    text: str


@dataclass(slots=True)
class Found:
    """What was found; `complete` is false when a bound ended the search."""

    commits: list[Told] = field(default_factory=list)
    files: list[FileHit] = field(default_factory=list)
    complete: bool = True


def search(repo: Repo, place: Place, query: str) -> Found:
    """Look for the query, letters in any case; an empty query finds nothing."""
    needle = query.strip().lower()[:QUERY_CHARS_MAX]
    found = Found()
    if needle:
        deadline_s = time.monotonic() + SEARCH_S_MAX
        _search_commits(repo, place, needle, found)
        _search_files(repo, place, needle, found, deadline_s)
    return found


def _search_commits(repo: Repo, place: Place, needle: str, found: Found) -> None:
    wanted = needle.encode()
    for entry in islice(repo.get_walker(include=[place.commit.id]), COMMITS_MAX):
        commit = entry.commit
        if wanted in commit.message.lower() or commit.id.startswith(wanted):
            found.commits.append(told(commit))
            if len(found.commits) >= HITS_MAX:
                found.complete = False
                return


def _search_files(repo: Repo, place: Place, needle: str, found: Found, deadline_s: float) -> None:
    wanted = needle.encode()
    bytes_left = TOTAL_BYTES_MAX
    store = repo.object_store
    named: list[FileHit] = []
    inside: list[FileHit] = []
    for count, entry in enumerate(store.iter_tree_contents(place.commit.tree)):
        full = len(inside) >= HITS_MAX or len(named) >= HITS_MAX
        if full or count >= FILES_MAX or bytes_left < 0 or time.monotonic() > deadline_s:
            found.complete = False
            break
        if entry.mode == SUBMODULE:
            continue
        if wanted in entry.path.lower():
            named.append(FileHit(entry.path, 0, ""))
        data = store[entry.sha].as_raw_string()
        bytes_left -= len(data)
        if len(data) <= FILE_BYTES_MAX and b"\0" not in data[:8000]:
            inside.extend(_line_hits(entry.path, data, wanted))
    found.files = (named + inside)[:HITS_MAX]


def _line_hits(path: bytes, data: bytes, wanted: bytes, hits_max: int = 3) -> list[FileHit]:
    low = data.lower()
    hits: list[FileHit] = []
    at = low.find(wanted)
    while at >= 0 and len(hits) < hits_max:
        start, end = low.rfind(b"\n", 0, at) + 1, low.find(b"\n", at)
        line = data[start : end if end >= 0 else len(data)]
        text = line.decode("utf-8", "replace").strip()[:LINE_CHARS_MAX]
        hits.append(FileHit(path, low.count(b"\n", 0, at) + 1, text))
        at = low.find(wanted, end) if end >= 0 else -1
    return hits
