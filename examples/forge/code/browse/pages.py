"""The pages of one repository: tree, file, history, commit, names, search.

Place:  app -> [pages] -> repositories, trees, showing
Rule:   each function gets an open repository and returns a page; routing is app.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

from bottle import HTTPResponse, request
from dulwich.archive import tar_stream
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from browse import diffs, showing, trees
from browse.rendering import Rendering, addresses, text
from browse.repositories import (
    Missing,
    Place,
    branches,
    commit_of,
    default_ref,
    resolve,
    tags,
)
from browse.search import QUERY_CHARS_MAX, search

RAW_CHUNK_BYTES = 64 * 1024
# Raw files come from strangers' commits: a browser must treat them as inert.
RAW_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=60",
}


class RepositoryPages:
    """Views by the name that stands in the address after the repository."""

    def __init__(self, render: Rendering) -> None:
        self._render = render

    def home(self, repo: Repo, name: str) -> str:
        """Show the default branch's root, its last commit and its readme."""
        ref = default_ref(repo)
        if ref is None:
            return self._render.page("empty.html", repo=name)
        return self.at(repo, name, ref)

    def at(self, repo: Repo, name: str, rest: bytes) -> str:
        """Show a directory or a file at ``ref/path``."""
        place = resolve(repo, rest)
        _, found = trees.lookup(repo, place)
        common = self._common(repo, name, place)
        if isinstance(found, Blob):
            return self._file(found, place, common)
        if found is None:
            raise Missing("This is another repository, kept here by its commit alone.")
        listed = trees.entries(repo, found, place.path)
        return self._render.page(
            "tree.html",
            entries=listed,
            entries_max=trees.ENTRIES_MAX,
            cut=len(found) > len(listed),
            last=trees.told(place.commit),
            readme=self._readme(repo, name, place, listed),
            **common,
        )

    def raw(self, repo: Repo, _name: str, rest: bytes) -> HTTPResponse:
        """Answer the bytes of a file: pictures as such, other files as plain text or download."""
        place = resolve(repo, rest)
        _, found = trees.lookup(repo, place)
        if not isinstance(found, Blob):
            raise Missing("Only files have raw contents.")
        data = found.as_raw_string()
        picture = showing.image_type(place.path.decode("utf-8", "replace"))
        kind = (
            "application/octet-stream" if showing.is_binary(data) else "text/plain; charset=utf-8"
        )
        headers = {**RAW_HEADERS, "Content-Type": picture or kind, "Content-Length": str(len(data))}
        chunks = (data[i : i + RAW_CHUNK_BYTES] for i in range(0, len(data), RAW_CHUNK_BYTES))
        return HTTPResponse(body=chunks, headers=headers)

    def log(self, repo: Repo, name: str, rest: bytes) -> str:
        """Show the commits that lead to ``ref/path``, a page at a time."""
        place = resolve(repo, rest or (default_ref(repo) or b""))
        page = _page_number()
        found, more = trees.history(repo, place, page)

        def link(number: int) -> str:
            return addresses().at(name, "log", place.ref, place.path, page=number)

        pager = {
            "previous": link(page - 1) if page > 1 else None,
            "next": link(page + 1) if more and page < trees.LOG_PAGES_MAX else None,
            "text": f"Page {page}",
        }
        commits = [trees.told(commit) for commit in found]
        common = self._common(repo, name, place)
        return self._render.page("log.html", commits=commits, pager=pager, **common)

    def commit(self, repo: Repo, name: str, rest: bytes) -> str:
        """Show a commit and what it changed."""
        place = resolve(repo, rest)
        if place.path:
            raise Missing("A commit has no path; open its files instead.")
        changes = diffs.of_commit(repo, place.commit)
        told = trees.told(place.commit)
        return self._render.page("commit.html", repo=name, commit=told, changes=changes)

    def refs(self, repo: Repo, name: str, _rest: bytes) -> str:
        """Show branches and tags with their last commits."""
        return self._render.page(
            "refs.html",
            repo=name,
            ref=default_ref(repo),
            branches=_with_commits(repo, branches(repo)),
            tags=_with_commits(repo, tags(repo))[::-1],
        )

    def search(self, repo: Repo, name: str, rest: bytes) -> str:
        """Show where words stand in commits, file names and files."""
        place = resolve(repo, rest or (default_ref(repo) or b""))
        query = request.query.getunicode("q", "")[:QUERY_CHARS_MAX]
        found = search(repo, place, query)
        common = self._common(repo, name, place)
        return self._render.page("search.html", query=query, found=found, **common)

    def archive(self, repo: Repo, name: str, rest: bytes) -> HTTPResponse:
        """Stream the tree of a ref as a tarball."""
        place = resolve(repo, rest.removesuffix(b".tar.gz"))
        stem = f"{name}-{place.ref.decode('utf-8', 'replace').replace('/', '-')}"
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem)
        body = _tarball(repo.path, place.commit, plain.encode())
        headers = {
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="{plain}.tar.gz"',
        }
        return HTTPResponse(body=body, headers=headers)

    def _file(self, blob: Blob, place: Place, common: dict[str, object]) -> str:
        data = blob.as_raw_string()
        shown = showing.show(place.path.decode("utf-8", "replace"), data)
        return self._render.page("file.html", shown=shown, bytes=len(data), **common)

    def _readme(self, repo: Repo, name: str, place: Place, listed: list[trees.Entry]) -> object:
        by_name = {entry.name.decode("utf-8", "replace").lower(): entry for entry in listed}
        entry = next((by_name[known] for known in showing.READMES if known in by_name), None)
        if entry is None or entry.kind != "file":
            return None

        def link(address: str, is_image: bool) -> str:
            return addresses().beside(name, place.ref, entry.path, address, is_image)

        file = entry.name.decode("utf-8", "replace")
        blob = repo.object_store[entry.sha]
        html = showing.readme(file, blob.as_raw_string(), link)
        return {"name": file, "html": html} if html else None

    def _common(self, repo: Repo, name: str, place: Place) -> dict[str, object]:
        segments = place.path.split(b"/") if place.path else []
        crumbs = [(part, b"/".join(segments[: i + 1])) for i, part in enumerate(segments)]
        return {
            "repo": name,
            "ref": place.ref,
            "path": place.path,
            "leaf": text(segments[-1]) if segments else name,
            "crumbs": crumbs,
            "branches": list(branches(repo))[:50],
        }


def _tarball(path: str, commit: Commit, prefix: bytes) -> Iterator[bytes]:
    # The answer outlives the view, so the stream opens the repository for itself.
    with Repo(path) as repo:
        tree = repo.object_store[commit.tree]
        if isinstance(tree, Tree):
            store = repo.object_store
            yield from tar_stream(store, tree, commit.commit_time, prefix=prefix, format="gz")


def _page_number() -> int:
    asked = request.query.get("page", "1")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1
    return min(max(number, 1), trees.LOG_PAGES_MAX)


def _with_commits(repo: Repo, names: dict[bytes, bytes]) -> list[tuple[bytes, trees.Told]]:
    found: list[tuple[bytes, Commit]] = []
    for name, sha in names.items():
        try:
            found.append((name, commit_of(repo, sha)))
        except Missing:
            continue  # a tag may name a file or a tree; there is no commit to show
    return [(name, trees.told(commit)) for name, commit in found]
