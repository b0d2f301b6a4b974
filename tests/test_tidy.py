"""The house rules of STYLE.md that a program can check.

Place:  make test
Rule:   an exception is written here with its reason, never in a comment elsewhere.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
PRODUCT = ("src/mergepoint", "testkit/src")


def tracked(*suffixes: str) -> list[Path]:
    """Return the project's own files with one of these suffixes."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file()]


def product(suffix: str = ".py") -> list[Path]:
    return [p for p in tracked(suffix) if str(p.relative_to(ROOT)).startswith(PRODUCT)]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", tracked(".py", ".rs", ".js"), ids=relative)
def test_no_file_is_longer_than_four_hundred_lines(path: Path) -> None:
    count = len(path.read_text().splitlines())

    assert count <= LINES_MAX, f"{relative(path)} has {count} lines; split it by what it does"


@pytest.mark.parametrize("path", [p for p in product() if p.stat().st_size], ids=relative)
def test_every_module_says_what_it_is_for_where_it_stands_and_its_rule(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    wanted = ("",) if path.name == "__init__.py" else ("Place:", "Rule:")

    assert doc, f"{relative(path)} has no docstring"
    assert all(word in doc for word in wanted), f"{relative(path)}: docstring needs Place and Rule"


@pytest.mark.parametrize("path", product(), ids=relative)
def test_no_function_is_longer_than_sixty_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= FUNCTION_LINES_MAX, f"{relative(path)}: {node.name} has {lines} lines"


def test_no_file_carries_a_name_that_says_nothing() -> None:
    bad = [relative(p) for p in tracked(".py", ".rs") if p.stem in BANNED_NAMES]

    assert bad == []


def test_no_lock_file_records_a_download_address() -> None:
    pattern = re.compile(r"https?://|--index-url|--find-links|resolved\"")
    locks = [*ROOT.glob("requirements/**/*.txt"), *tracked("package-lock.json")]
    bad = [relative(p) for p in locks if pattern.search(p.read_text())]

    assert locks
    assert bad == []


def test_every_requirement_is_pinned_by_hash() -> None:
    for lock in ROOT.glob("requirements/**/*.txt"):
        text = lock.read_text()
        pins = re.findall(r"^[a-zA-Z0-9_.\[\]-]+==", text, flags=re.MULTILINE)
        assert pins, relative(lock)
        assert text.count("--hash=sha256:") >= len(pins), relative(lock)


def test_every_package_stands_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [p.parent.name for p in (ROOT / "src/mergepoint").glob("*/__init__.py")]
    missing = [name for name in packages if f"`{name}/`" not in text]

    assert missing == []


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in tracked(".md"):
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", prose):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{relative(page)} -> {target}")

    assert broken == []


def test_make_test_runs_every_suite() -> None:
    lists = re.findall(r"^(?:TOGETHER|ALONE) := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    named = {name for line in lists for name in line.split()}
    suites = {relative(p.parent) for p in tracked(".py") if p.name.startswith("test_")}
    own = {name for name in suites if name.startswith("tests/") and name.count("/") == 1}

    assert own - named == set(), "add the suite to TOGETHER or ALONE in the Makefile"
