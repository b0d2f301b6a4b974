"""One app as preflight looks at it: what it is, where it is mounted, and its source.

Place:  cli.add, manifest.site -> [detect.subject] -> detect.preflight
Rule:   frozen data, and the two ways to make it: from a site's app, or from a candidate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergepoint.detect.candidate import Candidate
from mergepoint.detect.serving import framework_of
from mergepoint.detect.tree import Tree, read_tree
from mergepoint.manifest.site import App, PrefixMode

TEMPLATES = (".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".pt", ".tpl")
SCRIPTS = (".js", ".mjs", ".cjs", ".ts")


@dataclass(frozen=True, slots=True)
class Subject:
    """An app, or one that wants to become an app."""

    name: str
    framework: str
    """Without its version: ``Flask``."""
    kind: str
    mounts: tuple[tuple[str, str], ...]
    """Pairs of host and path; the first path is the one links are compared with."""
    prefix: PrefixMode
    tree: Tree
    target: str = ""
    python: Path | None = None
    server: str = "granian"
    """Distribution of the server the worker runs under."""
    settings: Mapping[str, str] | None = None
    """Environment of the app, which may rename cookies."""

    @property
    def mount(self) -> str:
        """The first mount's path, empty for ``/``."""
        path = self.mounts[0][1] if self.mounts else "/"
        return "" if path == "/" else path.rstrip("/")

    def find(self, pattern: re.Pattern[str], suffixes: tuple[str, ...]) -> Iterator[Hit]:
        """Yield every match of `pattern` in files with these suffixes; tests aside."""
        for name, text in self.tree.texts.items():
            if not name.endswith(suffixes) or _aside(name):
                continue
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield Hit(f"{name}:{line}", match[match.lastindex or 0])

    def mentions(self, *words: str) -> bool:
        """Tell whether any of the app's own Python files contains one of `words`."""
        return any(
            word in text
            for name, text in self.tree.texts.items()
            if name.endswith(".py") and not _aside(name)
            for word in words
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """A match: where it stands and what it says."""

    where: str
    text: str


def _aside(name: str) -> bool:
    parts = name.split("/")
    return ".min." in name or any(
        part in {"tests", "test", "vendor", "vendored", "migrations", "docs"} or part[:5] == "test_"
        for part in parts
    )


def subject_of_app(app: App) -> Subject:
    """Return the subject of an app that stands in the manifest."""
    root = app.static.root if app.static else app.directory
    return Subject(
        name=app.name,
        framework=framework_of(app).partition(" ")[0],
        kind=str(app.kind),
        mounts=tuple((m.host, m.path) for m in app.mounts),
        prefix=app.prefix,
        tree=read_tree(root),
        target=app.target,
        python=app.python,
        server=app.server,
        settings=app.environment,
    )


def subject_of_candidate(
    name: str, candidate: Candidate, host: str, path: str, tree: Tree, python: Path | None
) -> Subject:
    """Return the subject of something that is about to be added."""
    python_app = candidate.serve.value in {"wsgi", "asgi"}
    return Subject(
        name=name,
        framework=candidate.framework,
        kind=candidate.serve.value,
        mounts=((host, path),),
        prefix=PrefixMode.HOST if python_app else PrefixMode.STRIP,
        tree=tree,
        target=candidate.target,
        python=python if python_app else None,
    )
