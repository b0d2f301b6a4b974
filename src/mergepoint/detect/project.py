"""Everything detection knows about a directory, best candidate first.

Place:  cli.add -> [detect.project] -> detect.python_apps, detect.other_apps
Rule:   nothing is imported or run; when several ways are close the user chooses.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mergepoint.detect.candidate import Candidate, Serve
from mergepoint.detect.other_apps import other_candidates
from mergepoint.detect.python_apps import python_candidates
from mergepoint.detect.tree import Tree

ENVIRONMENTS = (".venv", "venv", "env", ".env")
SCORE_MIN = 1
"""Candidates below are from tests and examples; offered only when there is nothing else."""


def candidates(tree: Tree) -> list[Candidate]:
    """Return every way to serve the tree, best first."""
    found = [*python_candidates(tree), *other_candidates(tree)]
    best: dict[tuple[str, str], Candidate] = {}
    for candidate in sorted(found, key=lambda c: (-c.score, c.where, c.target)):
        best.setdefault((candidate.serve, candidate.what()), candidate)
    good = [c for c in best.values() if c.score >= SCORE_MIN]
    return _without_parts(good or list(best.values()))


def _without_parts(found: list[Candidate]) -> list[Candidate]:
    """Drop a factory whose module also offers the application it makes."""
    made = {c.target.partition(":")[0] for c in found if c.target and not c.target.endswith("()")}
    kept = []
    for candidate in found:
        module = candidate.target.partition(":")[0]
        if candidate.target.endswith("()") and module in made and len(found) > 1:
            continue
        kept.append(candidate)
    return kept


def environment_python(directory: Path, root: Path) -> Path | None:
    """Return the interpreter of the project's own environment, None when it has none."""
    for base in dict.fromkeys((directory, root)):
        for name in ENVIRONMENTS:
            python = base / name / "bin" / "python"
            if (base / name / "pyvenv.cfg").is_file() and os.access(python, os.X_OK):
                return python
    return None


def named(found: list[Candidate], target: str) -> Candidate | None:
    """Return the candidate of this target; with `()` or without, as people type it."""
    for candidate in found:
        if candidate.target.removesuffix("()") == target.removesuffix("()"):
            return replace(candidate, target=target) if target.endswith("()") else candidate
    return None


def by_hand(root: Path, target: str, serve: Serve) -> Candidate:
    """Return a candidate for what the user names although it was not found."""
    return Candidate("WSGI" if serve is Serve.WSGI else "ASGI", serve, root, "given", target)
