"""Broken manifests and the exact words they are answered with.

Place:  make test
Rule:   each broken/NAME.toml has its golden broken/NAME.txt; write them anew with
        REGENERATE=1 pytest tests/manifest/test_broken.py, and read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from mergepoint.core.problems import Severity
from mergepoint.manifest.checks.identity import LOGIN_PACKAGES
from mergepoint.manifest.load import inspect, load_site

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.toml"))
REGENERATE = os.environ.get("REGENERATE") == "1"
MARKS = {Severity.ERROR: "", Severity.APP: "app: ", Severity.WARNING: ""}
EVERY_LINE = re.compile(r"mergepoint\.toml(:\d+){0,2}: \S")


def place(manifest: Path, directory: Path) -> tuple[Path, str]:
    """Copy the tree of apps and the manifest; return the manifest and the profile it asks for."""
    shutil.copytree(HERE / "tree", directory / "site")
    text = manifest.read_text()
    file = directory / "site" / "mergepoint.toml"
    file.write_text(text)
    file.chmod(0o600)
    asked = re.match(r"# profile: (\S+)\n", text)
    return file, asked[1] if asked else "development"


def install(site_packages: Path, names: Iterable[str]) -> None:
    """Make the environment of Mergepoint look as if it had these distributions and no other."""
    for name in names:
        info = site_packages / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")


def said(manifest: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", [str(directory / "installed")])
    asked = re.search(r"^# installed: (.*)$", manifest.read_text(), re.MULTILINE)
    install(directory / "installed", asked[1].split() if asked else LOGIN_PACKAGES)
    file, profile = place(manifest, directory)
    loaded = inspect(file, profile=profile, environ={"PATH": "/usr/bin:/bin"})
    lines = [f"{MARKS[problem.severity]}{problem}" for problem in loaded.problems]
    return "".join(f"{line}\n" for line in lines).replace(str(file.parent), "$SITE")


@pytest.mark.parametrize("manifest", BROKEN, ids=lambda file: file.stem)
def test_a_broken_manifest_is_answered_with_its_golden_message(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = manifest.with_suffix(".txt")
    found = said(manifest, tmp_path, monkeypatch)

    if REGENERATE:
        golden.write_text(found)

    assert found == golden.read_text()
    assert found, "a manifest in broken/ has something to be told"
    for line in found.splitlines():
        assert EVERY_LINE.search(line), f"no place in the file: {line}"
        assert "hunter2" not in line


def test_there_are_at_least_fifty_broken_manifests_and_no_golden_without_one() -> None:
    assert len(BROKEN) >= 50
    assert {file.stem for file in BROKEN} == {file.stem for file in (HERE / "broken").glob("*.txt")}


def test_an_app_that_cannot_start_here_does_not_refuse_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    file, profile = place(HERE / "broken" / "venv_missing.toml", tmp_path)

    site = load_site(file, profile=profile, environ={})

    failure = site.failures["tickets"]
    assert "there is no virtual environment" in failure.reason
    assert failure.where == "mergepoint.toml:4"
    assert "python3 -m venv" in failure.next
    assert [problem.severity for problem in site.problems] == [Severity.APP]
