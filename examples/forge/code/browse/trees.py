"""Read directories, files and history out of a repository.

Place:  repositories -> [trees] -> pages, search
Rule:   links are shown, never followed; whatever could be huge has a bound.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

from dulwich.object_store import tree_lookup_path
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from browse.repositories import UNREADABLE, Missing, Place

ENTRIES_MAX = 2000
SIZED_ENTRIES_MAX = 300
PAGE_COMMITS = 30
LOG_PAGES_MAX = 300
SCANNED_COMMITS_MAX = 2000
SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a directory; `kind` is ``folder``, ``file``, ``link`` or ``repo`` (submodule)."""

    name: bytes
    path: bytes
    kind: str
    sha: bytes
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A commit as people read it."""

    sha: str
    subject: str
    body: str
    author: str
    at: datetime
    parents: tuple[str, ...]


def lookup(repo: Repo, place: Place) -> tuple[int, Tree | Blob | None]:
    """Return mode and object at the path, None for a submodule; raise `Missing`."""
    if not place.path:
        return stat.S_IFDIR, _read(repo, place.commit.tree)
    try:
        mode, sha = tree_lookup_path(repo.object_store.__getitem__, place.commit.tree, place.path)
    except UNREADABLE as error:
        shown = place.path.decode("utf-8", "replace")
        where = place.ref.decode("utf-8", "replace")
        raise Missing(f"There is no {shown} in {where}.") from error
    return mode, None if mode == SUBMODULE else _read(repo, sha)


def entries(repo: Repo, tree: Tree, path: bytes) -> list[Entry]:
    """Return the directory, folders first; sizes only when there are few enough to look at."""
    items = list(islice(tree.iteritems(), ENTRIES_MAX))
    sized = len(items) <= SIZED_ENTRIES_MAX
    found = []
    for item in items:
        kind = _kind(item.mode)
        size = _size(repo, item.sha) if sized and kind == "file" else None
        full = path + b"/" + item.path if path else item.path
        found.append(Entry(item.path, full, kind, item.sha, size))
    return sorted(found, key=lambda entry: (entry.kind != "folder", entry.name.lower()))


def history(repo: Repo, place: Place, page: int) -> tuple[list[Commit], bool]:
    """Return one page of commits that lead here, newest first, and whether there are more."""
    start = (page - 1) * PAGE_COMMITS
    walk: Iterator[Commit] = (entry.commit for entry in repo.get_walker(include=[place.commit.id]))
    if place.path:
        touched = islice(walk, SCANNED_COMMITS_MAX)
        walk = (commit for commit in touched if _touches(repo, commit, place.path))
    found = list(islice(walk, start, start + PAGE_COMMITS + 1))
    return found[:PAGE_COMMITS], len(found) > PAGE_COMMITS


def told(commit: Commit) -> Told:
    """Return the commit for people: names decoded, moment in its author's zone."""
    text = commit.message.decode("utf-8", "replace").strip()
    subject, _, body = text.partition("\n")
    name = commit.author.decode("utf-8", "replace").partition(" <")[0]
    return Told(
        sha=commit.id.decode(),
        subject=subject[:300] or "(no message)",
        body=body.strip()[:20_000],
        author=name[:100] or "unknown",
        at=_moment(commit.author_time, commit.author_timezone),
        parents=tuple(parent.decode() for parent in commit.parents),
    )


def _moment(seconds: int, offset_s: int) -> datetime:
    try:
        zone = timezone(timedelta(seconds=offset_s))
        return datetime.fromtimestamp(seconds, zone)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)  # commits may carry any number as their time


def _touches(repo: Repo, commit: Commit, path: bytes) -> bool:
    here = _sha_at(repo, commit, path)
    parents = [parent for parent in commit.parents if parent in repo.object_store]
    before = [_sha_at(repo, repo.object_store[parent], path) for parent in parents]
    return all(here != sha for sha in before) if before else here is not None


def _sha_at(repo: Repo, commit: Commit, path: bytes) -> bytes | None:
    try:
        sha: bytes = tree_lookup_path(repo.object_store.__getitem__, commit.tree, path)[1]
    except UNREADABLE:
        return None
    return sha


def _read(repo: Repo, sha: bytes) -> Tree | Blob:
    try:
        found = repo.object_store[sha]
    except UNREADABLE as error:
        raise Missing(f"Object {sha.decode()} is missing from this repository.") from error
    if not isinstance(found, Tree | Blob):
        raise Missing(f"Object {sha.decode()} is neither a file nor a directory.")
    return found


def _size(repo: Repo, sha: bytes) -> int | None:
    try:
        return int(repo.object_store[sha].raw_length())
    except UNREADABLE:
        return None


def _kind(mode: int) -> str:
    if mode == SUBMODULE:
        return "repo"
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if stat.S_ISDIR(mode) else "file"
