"""The same repositories for programs: search and news as JSON.

Place:  app -> [api] -> search, trees
Rule:   read only; the shape of an item is the one that every app of the forge uses.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

from browse.addresses import Addresses
from browse.repositories import Listed, default_ref, listed, opened, resolve
from browse.search import QUERY_CHARS_MAX, Found, search
from browse.trees import Told, told

HITS_MAX = 20
RECENT = 5
SEARCH_S_MAX = 2.5
Item = dict[str, str]


def search_all(directory: Path, query: str, to: Addresses) -> dict[str, object]:
    """Return hits from every repository until `HITS_MAX` or `SEARCH_S_MAX` is reached."""
    items: list[Item] = []
    deadline_s = time.monotonic() + SEARCH_S_MAX
    for entry in _readable(directory):
        if len(items) >= HITS_MAX or time.monotonic() > deadline_s:
            break
        with opened(directory, entry.name) as repo:
            ref = default_ref(repo)
            if ref is None:
                continue
            found = search(repo, resolve(repo, ref), query[:QUERY_CHARS_MAX])
            items.extend(_hits(entry.name, ref, found, to))
    return {"items": items[:HITS_MAX]}


def recent(directory: Path, to: Addresses) -> dict[str, object]:
    """Return the newest commits over all repositories."""
    commits: list[tuple[str, Told]] = []
    readable = _readable(directory)
    for entry in readable:
        with opened(directory, entry.name) as repo:
            ref = default_ref(repo)
            if ref is None:
                continue
            start = resolve(repo, ref).commit.id
            walk = islice(repo.get_walker(include=[start]), RECENT)
            commits.extend((entry.name, told(step.commit)) for step in walk)
    commits.sort(key=lambda pair: pair[1].at, reverse=True)
    items = [_commit(name, commit, to) for name, commit in commits[:RECENT]]
    count = len(readable)
    return {"items": items, "summary": f"{count} repositor{'y' if count == 1 else 'ies'}"}


def _readable(directory: Path) -> list[Listed]:
    return [entry for entry in listed(directory) if not entry.trouble]


def _hits(name: str, ref: bytes, found: Found, to: Addresses) -> list[Item]:
    commits = [_commit(name, commit, to) for commit in found.commits[: HITS_MAX // 4]]
    files = [
        {
            "title": f"{name}/{hit.path.decode('utf-8', 'replace')}",
            "url": to.at(name, "at", ref, hit.path) + (f"#L{hit.line}" if hit.line else ""),
            "snippet": hit.text,
            "state": "file",
            "by": "",
            "at": "",
        }
        for hit in found.files
    ]
    return commits + files


def _commit(name: str, commit: Told, to: Addresses) -> Item:
    return {
        "title": commit.subject,
        "url": to.at(name, "commit", commit.sha),
        "snippet": commit.body[:240],
        "state": "commit",
        "by": f"{commit.author} in {name}",
        "at": commit.at.isoformat(timespec="seconds"),
    }
