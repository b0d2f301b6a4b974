"""Run the command line in this process, in a directory of the test's own.

Place:  tests/cli
Rule:   what a user would see: exit code, stdout, stderr; without colours and of fixed width.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mergepoint.cli.main import main

collect_ignore_glob = ["projects/*"]

PROJECTS = Path(__file__).parent / "projects"
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Ran:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Return stdout as the JSON document it must be."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


Cli = Callable[..., Ran]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Cli:
    """Give a function that runs one command in `tmp_path`."""
    for name in ("MERGEPOINT_CONFIG", "MERGEPOINT_PROFILE", "PORT", "HOST", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capfd.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies one of the fixture projects beside the site."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(PROJECTS / name, tmp_path / name))

    return copy


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Make a site with one app that needs nothing; return its manifest."""
    manifest = tmp_path / "mergepoint.toml"
    manifest.write_text(
        '[site]\nname = "acme"\nlisten = "127.0.0.1:0"\n\n'
        '[apps.hello]\nwsgi = "hello:application"\ndirectory = "hello"\nat = "/"\n\n'
        '[apps.tickets]\nwsgi = "hello:application"\ndirectory = "hello"\nat = "/tickets"\n'
    )
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/hello.py").write_text("def application(environ, start_response): ...\n")
    return manifest


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str, str], None]:
    """Give a comparison with a golden file; `REGOLD=1` writes it after a wanted change."""

    def compare(name: str, text: str) -> None:
        text = text.replace(str(tmp_path), "<here>").replace(sys.prefix, "<python>")
        text = re.sub(r"mergepoint \d+\.\d+\.\d+", "mergepoint <version>", text)
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("REGOLD"):
            path.write_text(text)
        assert text == path.read_text(), f"{path.name} differs; REGOLD=1 writes it anew"

    return compare
