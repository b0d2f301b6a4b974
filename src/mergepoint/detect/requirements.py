"""What a project says it needs: names and versions from requirements.txt and pyproject.toml.

Place:  detect.tree -> [detect.requirements] -> detect.checks.requirements, cli.add
Rule:   pure; understands the plain forms, and leaves alone what it does not understand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from mergepoint.detect.tree import Tree

FILES = ("requirements.txt", "requirements/base.txt", "requirements/run.txt", "requirements.in")
_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(\(?[<>=!~][^;#]*)?(;.*)?$")
_CLAUSE = re.compile(r"(===|==|!=|~=|<=|>=|<|>)\s*([0-9][0-9A-Za-z.*+!-]*)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One needed distribution; `marked` ones depend on the environment and are not judged."""

    name: str
    clauses: tuple[tuple[str, str], ...]
    where: str
    marked: bool = False

    @property
    def spec(self) -> str:
        """The version part as written: ``>=3.1,<4``."""
        return ",".join(operator + version for operator, version in self.clauses)


def read_requirements(tree: Tree) -> list[Requirement]:
    """Return what the project says it needs at run time, from the first file that says anything."""
    for file in FILES:
        if file in tree.texts:
            return list(_from_lines(file, tree.texts[file].splitlines()))
    if "pyproject.toml" in tree.texts:
        return list(_from_pyproject(tree.texts["pyproject.toml"]))
    return []


def requirements_file(tree: Tree) -> str:
    """Return what pip is given to install the project's needs; empty when nothing says any."""
    for file in FILES:
        if file in tree.texts:
            return f"-r {file}"
    if "pyproject.toml" not in tree.texts:
        return "." if tree.has("setup.py") else ""
    return "." if list(_from_pyproject(tree.texts["pyproject.toml"])) else ""


def _from_lines(file: str, lines: list[str]) -> Iterator[Requirement]:
    for number, line in enumerate(lines, 1):
        text = line.split(" #")[0].split(" --hash")[0].strip().rstrip("\\").strip()
        match = _LINE.match(text)
        if match:
            yield _requirement(match, f"{file}:{number}")


def _from_pyproject(text: str) -> Iterator[Requirement]:
    try:
        project: Any = tomllib.loads(text).get("project", {})
    except ValueError:
        return
    needed = project.get("dependencies", []) if isinstance(project, dict) else []
    for entry in needed if isinstance(needed, list) else []:
        match = _LINE.match(str(entry).strip())
        if match:
            yield _requirement(match, "pyproject.toml")


def _requirement(match: re.Match[str], where: str) -> Requirement:
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    clauses = tuple((c[1], c[2]) for c in _CLAUSE.finditer(match[2] or ""))
    return Requirement(name, clauses, where, marked=bool(match[3]))


def satisfies(version: str, requirement: Requirement) -> bool:
    """Tell whether `version` meets every clause; what cannot be compared counts as met."""
    return all(_meets(version, operator, wanted) for operator, wanted in requirement.clauses)


def _meets(version: str, operator: str, wanted: str) -> bool:
    if wanted.endswith(".*"):
        same = f"{version}.".startswith(wanted[:-1])
        return same if operator == "==" else not same
    order = compare(version, wanted)
    if operator == "~=":
        stem = ".".join(wanted.split(".")[:-1])
        return order >= 0 and f"{version}.".startswith(f"{stem}.")
    return {
        "==": order == 0,
        "===": version == wanted,
        "!=": order != 0,
        "<=": order <= 0,
        ">=": order >= 0,
        "<": order < 0,
        ">": order > 0,
    }[operator]


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1 by release numbers; a pre-release suffix is passed over."""
    for a, b in zip_longest(_release(left), _release(right), fillvalue=0):
        if a != b:
            return -1 if a < b else 1
    return 0


def _release(version: str) -> list[int]:
    match = re.match(r"\d+(?:\.\d+)*", version.partition("!")[2] or version)
    return [int(part) for part in match[0].split(".")] if match else [0]
