"""Find repositories, their branches and tags, and what an address means in them.

Place:  settings -> [repositories] -> pages, api
Rule:   a name from an address is only ever looked up in the list, never joined to a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dulwich.errors import NotGitRepository, WrongObjectException
from dulwich.objects import Commit, Tag
from dulwich.repo import Repo

REPOSITORIES_MAX = 200
REFS_MAX = 500
TAG_DEPTH_MAX = 8
SHORT_SHA = re.compile(rb"[0-9a-f]{7,40}")
# What dulwich raises for objects and files that are damaged or missing.
UNREADABLE = (NotGitRepository, WrongObjectException, OSError, KeyError, ValueError, AssertionError)


class Missing(Exception):
    """There is no such repository, branch, commit or file; the message is for the reader."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of the directory; `trouble` says why it cannot be opened, empty when it can.

    `bare` tells that it is nobody's working copy, so that branches may move under it.
    """

    name: str
    path: Path
    description: str = ""
    trouble: str = ""
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A commit by the name it was asked for, and a path inside its tree."""

    ref: bytes
    commit: Commit
    path: bytes


def listed(directory: Path) -> list[Listed]:
    """Return the entries of the directory by name; at most `REPOSITORIES_MAX`."""
    if not directory.is_dir():
        return []
    entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    return [_look_at(entry) for entry in entries[:REPOSITORIES_MAX]]


@contextmanager
def opened(directory: Path, name: str) -> Iterator[Repo]:
    """Lend the repository of this name; raise `Missing` when there is none that can be read."""
    found = next((entry for entry in listed(directory) if entry.name == name), None)
    if found is None:
        raise Missing(f"There is no repository called {name}.")
    if found.trouble:
        raise Missing(f"{name} cannot be shown: {found.trouble}")
    repo = Repo(str(found.path))
    try:
        yield repo
    finally:
        repo.close()


def branches(repo: Repo) -> dict[bytes, bytes]:
    """Return branch names and their commits, by name."""
    return _refs(repo, b"refs/heads")


def tags(repo: Repo) -> dict[bytes, bytes]:
    """Return tag names and what they point at, by name."""
    return _refs(repo, b"refs/tags")


def default_ref(repo: Repo) -> bytes | None:
    """Return the branch HEAD names, else any branch, else HEAD's own commit; None when empty."""
    known = branches(repo)
    chain, sha = repo.refs.follow(b"HEAD")
    head = chain[-1].removeprefix(b"refs/heads/") if chain else b""
    if head in known:
        return head
    return next(iter(known), sha)


def resolve(repo: Repo, address: bytes) -> Place:
    """Split ``ref/path`` where the ref ends; refs may hold slashes. Raise `Missing`."""
    segments = [segment for segment in address.split(b"/") if segment]
    names = branches(repo) | tags(repo)
    for length in range(1, len(segments) + 1):
        name = b"/".join(segments[:length])
        if name in names:
            return Place(name, commit_of(repo, names[name]), b"/".join(segments[length:]))
    if segments and segments[0] == b"HEAD" and (head := default_ref(repo)):
        return Place(head, commit_of(repo, names.get(head, head)), b"/".join(segments[1:]))
    if segments and SHORT_SHA.fullmatch(segments[0]):
        commit = commit_of(repo, _full_sha(repo, segments[0]))
        return Place(segments[0], commit, b"/".join(segments[1:]))
    shown = segments[0].decode("utf-8", "replace") if segments else ""
    raise Missing(f"There is no branch, tag or commit called {shown!r} here.")


def commit_of(repo: Repo, sha: bytes) -> Commit:
    """Return the commit a name points at, through annotated tags; raise `Missing` otherwise."""
    for _ in range(TAG_DEPTH_MAX):
        try:
            found = repo.object_store[sha]
        except UNREADABLE as error:
            raise Missing(f"Commit {sha.decode()} is not in this repository.") from error
        if isinstance(found, Commit):
            return found
        if not isinstance(found, Tag):
            break
        sha = found.object[1]
    raise Missing(f"{sha.decode()} is not a commit.")


def _look_at(entry: Path) -> Listed:
    name = entry.name.removesuffix(".git")
    try:
        with Repo(str(entry)) as repo:
            return Listed(name, entry, _description(repo), bare=bool(repo.bare))
    except UNREADABLE:
        return Listed(name, entry, trouble="there is no Git history at its place.")


def _description(repo: Repo) -> str:
    text = (repo.get_description() or b"").decode("utf-8", "replace").strip()
    return "" if text.startswith("Unnamed repository") else text[:300]


def _refs(repo: Repo, base: bytes) -> dict[bytes, bytes]:
    names = sorted(repo.refs.subkeys(base))[:REFS_MAX]
    found = ((name, repo.refs[base + b"/" + name]) for name in names)
    return dict(islice(found, REFS_MAX))


def _full_sha(repo: Repo, start: bytes) -> bytes:
    if len(start) == 40:
        return start
    found = list(islice(set(repo.object_store.iter_prefix(start)), 2))
    if len(found) != 1:
        raise Missing(f"{start.decode()} names {'several objects' if found else 'nothing'} here.")
    return found[0]
