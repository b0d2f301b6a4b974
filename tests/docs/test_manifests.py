"""Every manifest that a page shows is one the program takes, in both modes, without a warning.

Place:  tests/docs
Rule:   the block is loaded as it stands; only the files it names are put there first, and absolute
        paths are moved below the test's directory.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.problems import Problem
from mergepoint.manifest.load import Loaded, inspect
from mergepoint.manifest.site import App, Site

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROFILES = ("development", "production")
PATH_KEYS = {"cert", "key", "directory", "venv", "static", "state_dir", "env_file", "python"}
NO_FAULT = re.compile(
    r"there is no such (user|group)|only root can|not on PATH|needs rights this user may lack"
    r"|lies inside /\S+ of|the variable \w+ is not set"
)
"""What is true of a machine (users, programs, rights, variables), or may well be meant."""


@dataclass(frozen=True)
class Shown:
    """A manifest on a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def manifests(page: Path) -> Iterator[Shown]:
    """Give the whole manifests of a page; blocks that only show apps get an empty site."""
    text = page.read_text()
    for block in BLOCK.finditer(text):
        first = next((x for x in block[1].splitlines() if x and not x.startswith("#")), "")
        if first.startswith("[site]"):
            whole = block[1]
        elif first.startswith("[apps."):
            whole = f"[site]\n{block[1]}"
        else:
            continue
        line = text.count("\n", 0, block.start()) + 1
        yield Shown(page.relative_to(ROOT).as_posix(), line, whole)


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give every text of a document with the key it stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, key)
    elif isinstance(value, str):
        yield key, value


def moved(text: str, below: Path) -> str:
    """Return the manifest with its absolute paths below a directory."""
    for key, value in set(strings(tomllib.loads(text))):
        if key in PATH_KEYS and value.startswith("/"):
            text = text.replace(f'"{value}"', f'"{below}{value}"')
    return text


@cache
def pair() -> dict[str, str]:
    """Return a certificate and the key that belongs to it."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    argv = ["openssl", "req", "-x509", "-nodes", *curve, "-subj", "/CN=localhost", "-keyout", "-"]
    made = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout
    begin = made.index("-----BEGIN CERTIFICATE")
    return {"key": made[:begin], "cert": made[begin:]}


def furnish(text: str, root: Path) -> None:
    """Put the files there that must exist before a manifest can be read."""
    for key, value in strings(tomllib.loads(text)):
        if key in {"cert", "key"}:
            write(root / value, pair()[key])
        elif key == "env_file":
            write(root / value, "")


def furnish_app(app: App) -> None:
    """Put what an app consists of into its places: modules, environment, program or files."""
    app.directory.mkdir(parents=True, exist_ok=True)
    targets = [member.target for member in app.members] or [app.target]
    if app.kind.is_python and app.python is not None:
        for target in targets:
            module, _, name = target.partition(":")
            write(app.directory / f"{module.replace('.', '/')}.py", f"{name} = print\n")
        if app.tasks is not None:
            write(app.directory / f"{app.tasks.module.replace('.', '/')}.py", "")
        if not app.python.exists():
            app.python.parent.mkdir(parents=True, exist_ok=True)
            app.python.symlink_to(sys.executable)
            write(app.python.parent.parent / "pyvenv.cfg", "")
    if app.command and "/" in app.command[0]:
        write(app.directory / app.command[0], "#!/bin/sh\n")
        (app.directory / app.command[0]).chmod(0o755)
    if app.static is not None:
        app.static.root.mkdir(parents=True, exist_ok=True)
        if app.static.fallback:
            write(app.static.root / app.static.fallback, "")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def load(path: Path, profile: str) -> Loaded:
    return inspect(path, profile=profile, environ={"PATH": "/usr/bin:/bin"})


def faults(text: str, root: Path, profile: str) -> list[Problem]:
    """Return what the program says against a manifest once everything it names is there."""
    path = root / "mergepoint.toml"
    path.write_text(moved(text, root))
    furnish(path.read_text(), root)
    site: Site | None = load(path, profile).site
    for app in site.apps.values() if site is not None else ():
        furnish_app(app)
    return [p for p in load(path, profile).problems if not NO_FAULT.search(p.message)]


SHOWN = [shown for page in PAGES for shown in manifests(page)]


def test_the_pages_show_manifests() -> None:
    assert len({shown.page for shown in SHOWN}) >= 8
    assert any(shown.page == "README.md" for shown in SHOWN)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_manifest_on_a_page_is_taken_as_it_stands(
    shown: Shown, profile: str, tmp_path: Path
) -> None:
    found = faults(shown.text, tmp_path, profile)

    assert [str(problem) for problem in found] == []


def test_a_wrong_manifest_on_a_page_would_be_noticed(tmp_path: Path) -> None:
    wrong = '[site]\n[apps.shop]\nwsgi = "app:application"\nat = "/shop"\ntimeout = 3\n'
    unknown = wrong.replace("timeout = 3", 'venv = "elsewhere"')

    assert "timeout" in str(faults(wrong, tmp_path, "production")[0])
    assert faults(unknown, tmp_path, "production") == []
