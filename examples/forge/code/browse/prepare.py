"""Make the directory of repositories: the sample, and a link to this checkout.

Place:  make demo -> [prepare] -> repositories
Rule:   a second run changes nothing; every commit of the sample is the same on every machine.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit
from dulwich.repo import Repo

from browse.settings import FORGE, Settings

SAMPLE = Path(__file__).resolve().parents[1] / "sample.toml"
CHECKOUT = FORGE.parents[1]
FILE_MODE = 0o100644


def prepare(settings: Settings) -> int:
    """Make what is missing; return how many repositories were added."""
    settings.repositories.mkdir(parents=True, exist_ok=True)
    return _add_checkout(settings.repositories) + _add_sample(settings.repositories)


def _add_checkout(directory: Path) -> int:
    # Linked even when it has no history: the list of repositories then says so.
    link = directory / "mergepoint"
    if link.is_symlink() and link.readlink() == CHECKOUT:
        return 0
    link.unlink(missing_ok=True)
    link.symlink_to(CHECKOUT)
    return 1


def _add_sample(directory: Path) -> int:
    place = directory / "orchard.git"
    if place.exists():
        return 0
    # Made beside its place and moved there whole, so that nobody finds half of it.
    unfinished = directory / f".orchard.{os.getpid()}"
    unfinished.mkdir()
    sample = tomllib.loads(SAMPLE.read_text("utf-8"))
    with Repo.init_bare(str(unfinished)) as repo:
        repo.set_description(sample["description"].encode())
        _commit_all(repo, sample["commits"])
        repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
    try:
        unfinished.rename(place)
    except OSError:
        shutil.rmtree(unfinished)  # another prepare was faster
    return 1


def _commit_all(repo: Repo, steps: list[dict[str, Any]]) -> None:
    heads: dict[str, Commit] = {}
    trees: dict[str, dict[str, bytes]] = {}
    for step in steps:
        branch, start = step.get("branch", "main"), step.get("from", "main")
        files = dict(trees.get(branch) or trees.get(start) or {})
        for name, text in step["files"].items():
            blob = Blob.from_string(text.lstrip("\n").encode())
            repo.object_store.add_object(blob)
            files[name] = blob.id
        parent = heads.get(branch) or heads.get(start)
        commit = _commit(repo, step, files, parent)
        heads[branch], trees[branch] = commit, files
        repo.refs[f"refs/heads/{branch}".encode()] = commit.id
        if tag := step.get("tag"):
            repo.refs[f"refs/tags/{tag}".encode()] = commit.id


def _commit(
    repo: Repo, step: dict[str, Any], files: dict[str, bytes], parent: Commit | None
) -> Commit:
    commit = Commit()
    entries = [(name.encode(), sha, FILE_MODE) for name, sha in sorted(files.items())]
    commit.tree = commit_tree(repo.object_store, entries)
    commit.parents = [parent.id] if parent else []
    commit.author = commit.committer = f"{step['by']} <{step['by']}@orchard.example>".encode()
    at: datetime = step["at"]
    commit.author_time = commit.commit_time = int(at.astimezone(UTC).timestamp())
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = (step["message"].strip() + "\n").encode()
    repo.object_store.add_object(commit)
    return commit


if __name__ == "__main__":
    print(f"code: {prepare(Settings.from_environment())} added")
