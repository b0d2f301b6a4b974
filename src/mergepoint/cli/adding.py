"""What `mergepoint add` does, step by step: look, choose, check, write, say what is next.

Place:  cli.commands.add -> [cli.adding] -> detect, cli.block, cli.environment
Rule:   the user's code is read, never imported; nothing is written before everything is known.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mergepoint.cli.block import Entry, app_name, append, block_of
from mergepoint.cli.environment import make_environment
from mergepoint.cli.invocation import Invocation
from mergepoint.cli.output import short
from mergepoint.cli.site import look, manifest_file, running
from mergepoint.core.errors import Exit, MergepointError
from mergepoint.core.problems import Severity
from mergepoint.detect.candidate import Candidate, Finding, Serve
from mergepoint.detect.preflight import findings
from mergepoint.detect.project import by_hand, candidates, environment_python, named
from mergepoint.detect.requirements import requirements_file
from mergepoint.detect.subject import subject_of_app, subject_of_candidate
from mergepoint.detect.tree import Tree, read_tree
from mergepoint.manifest.load import refusal
from mergepoint.manifest.site import App

CLOSE = 3
"""Candidates whose scores differ by less are for the user to choose between."""


class NotAdded(MergepointError):
    """The app was not added, and the manifest is as it was."""

    code = "cli.not_added"


class Ambiguous(NotAdded):
    """More than one application, and nothing tells which is meant."""

    code = "cli.ambiguous"
    exit = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user typed after ``mergepoint add``."""

    path: str
    at: str | None = None
    name: str | None = None
    target: str | None = None
    asgi: bool = False
    venv: bool = False
    python: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """What was found and written; `line` is 0 under ``--dry-run``."""

    entry: Entry
    others: tuple[Candidate, ...]
    findings: tuple[Finding, ...]
    block: str
    manifest: Path
    line: int
    run_dir: Path


def add(asked: Invocation, wish: Wish) -> Added:
    """Add what lies at the wish's path to the site; raise `NotAdded` with the reason."""
    manifest = manifest_file(asked)
    apps = _apps(asked)
    if re.match(r"https?://", wish.path):
        elsewhere = Candidate("HTTP service", Serve.HTTP, Path.cwd(), wish.path, wish.path)
        tree, found = Tree(Path.cwd(), ()), [elsewhere]
    else:
        root, only = _root(wish.path)
        tree = read_tree(root)
        found = _found(tree, only, wish)
    chosen = choose(found, wish.target)
    name = _free_name(wish.name or app_name(_name_of(wish.path, tree.root)), apps)
    host, path = split_mount(wish.at or f"/{name}")
    python = _python(chosen, tree, wish)
    subject = subject_of_candidate(name, chosen, host, path, tree, python or Path(sys.executable))
    others = [subject_of_app(app) for app in apps.values()]
    report = [*_needs(chosen), *findings(subject, others)]
    _refuse(chosen, report, tree.root)
    own = python.parent.parent if python and chosen.serve in {Serve.WSGI, Serve.ASGI} else None
    entry = Entry(name, f"{'' if host == '*' else host}{path}", chosen, own)
    block = block_of(entry, manifest)
    line = 0 if wish.dry_run else append(manifest, block, lambda: _errors(asked))
    rest = tuple(c for c in found if c != chosen)
    return Added(entry, rest, tuple(report), block, manifest, line, running(asked).run_dir)


def _apps(asked: Invocation) -> Mapping[str, App]:
    """Return the apps of the site; none for a manifest whose only fault is that it has none yet."""
    loaded = look(asked)
    if loaded.site is not None:
        return loaded.site.apps
    errors = [p for p in loaded.problems if p.severity is Severity.ERROR]
    if loaded.document is not None and not loaded.layers.data.get("apps") and len(errors) == 1:
        return {}
    raise refusal(loaded.problems)


def choose(found: Sequence[Candidate], target: str | None) -> Candidate:
    """Return the candidate meant; raise `Ambiguous` when two are equally likely."""
    if target is not None or len(found) == 1:
        return found[0]
    close = [c for c in found if found[0].score - c.score < CLOSE]
    if len(close) > 1:
        lines = "\n".join(f"  {c.what():<32} {c.framework:<12} {c.where}" for c in close)
        raise Ambiguous(
            f"{len(close)} applications could be meant:\n{lines}",
            next=f"repeat the command with --app {close[0].what()}",
        )
    return found[0]


def split_mount(at: str) -> tuple[str, str]:
    """Return host and path of ``/x``, ``docs.example.org`` or ``docs.example.org/x``."""
    if at.startswith("/"):
        return "*", at.rstrip("/") or "/"
    host, _, path = at.partition("/")
    return host.lower(), f"/{path}".rstrip("/") or "/"


def _root(path: str) -> tuple[Path, str]:
    """Return the directory to look at, and the one file in it when a file was named."""
    place = Path(path).expanduser()
    if place.is_dir():
        return place.resolve(), ""
    if place.is_file():
        return place.parent.resolve(), place.name
    raise NotAdded(f"there is no directory {place}", next="mergepoint add PATH --at /path")


def _found(tree: Tree, only: str, wish: Wish) -> list[Candidate]:
    found = candidates(tree)
    if only:
        found = [c for c in found if c.where.rpartition(":")[0] == only or c.where == only]
    if wish.target is not None:
        given = named(found, wish.target)
        serve = Serve.ASGI if wish.asgi else Serve.WSGI
        return [given or by_hand(tree.root, wish.target, serve)]
    if not found:
        raise NotAdded(
            f"no application found in {short(tree.root)}: no Python file makes a WSGI or ASGI "
            "application, and there is no Procfile, package.json or index.html",
            next=f"mergepoint add {wish.path} --app module:attribute",
        )
    return found


def _name_of(path: str, root: Path) -> str:
    return re.sub(r"^https?://|[:/].*$", "", path) if "://" in path else root.name


def _free_name(name: str, apps: Mapping[str, App]) -> str:
    if name in apps:
        raise NotAdded(
            f"there is already an app {name!r} ({apps[name].origin})",
            next="repeat the command with --name OTHER",
        )
    return name


def _python(chosen: Candidate, tree: Tree, wish: Wish) -> Path | None:
    if chosen.serve not in {Serve.WSGI, Serve.ASGI}:
        return None
    there = environment_python(chosen.directory, tree.root)
    if not wish.venv or wish.dry_run:
        return there
    needs = requirements_file(tree).split() or [chosen.framework.lower()]
    plain = chosen.framework in {"WSGI", "ASGI"} and not requirements_file(tree)
    return make_environment(tree.root, wish.python, [] if plain else needs)


def _needs(chosen: Candidate) -> list[Finding]:
    if not chosen.needs:
        return []
    return [Finding("error", "needs", "something is to be done first", chosen.needs, chosen.where)]


def _refuse(chosen: Candidate, report: Sequence[Finding], root: Path) -> None:
    if not chosen.exists:
        raise NotAdded(
            f"{chosen.framework} was found at {chosen.where} in {short(root)}, "
            f"but there is nothing to serve yet: {chosen.needs}",
            next="then repeat the command",
        )
    for finding in report:
        if finding.code == "mount_taken":
            raise NotAdded(finding.message, next=finding.fix)


def _errors(asked: Invocation) -> str:
    problems = look(asked).problems
    return "\n".join(str(p) for p in problems if p.severity is Severity.ERROR)
