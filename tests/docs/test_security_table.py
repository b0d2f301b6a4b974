"""The ASVS table is whole, and every test it leans on exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "security.md"
ROW = re.compile(r"^\| (\d\.\d\.\d+) \| ([12]) \| (.+) \| (-|`tests/[\w/]+\.py::\w+`) \|$", re.M)
LEVELS_1_AND_2 = {
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
}  # fmt: skip
"""How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they come first in it."""


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall(PAGE.read_text())


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_requirement_of_levels_one_and_two_has_its_row() -> None:
    wanted = [f"{part}.{n}" for part, most in LEVELS_1_AND_2.items() for n in range(1, most + 1)]
    assert [number for number, *_ in rows()] == wanted


def test_every_row_names_a_test_that_exists_or_says_why_there_is_none() -> None:
    for number, _level, how, test in rows():
        if test == "-":
            honest = ("not yet", "no ", "the app's")
            assert how.startswith(honest), f"{number} has neither a test nor a reason"
            continue
        file, name = test.strip("`").split("::")
        assert (ROOT / file).is_file(), f"{number}: {file} is not there"
        assert name in functions(ROOT / file), f"{number}: {file} has no {name}"
