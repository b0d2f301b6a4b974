"""Modules and names are looked for in files alone, and only certain absences are reported.

Place:  make test
Rule:   nothing is imported; every module here would raise if it were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.core.problems import Severity
from mergepoint.manifest.load import inspect

BOOM = "raise RuntimeError('imported')\n"


@pytest.fixture
def messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "installed")])
    (tmp_path / "installed").mkdir()

    def load(target: str, *, extra: str = "") -> list[str]:
        file = tmp_path / "mergepoint.toml"
        file.write_text(f'[apps.it]\nwsgi = "{target}"\n{extra}')
        return [p.message for p in inspect(file, profile="development", environ={}).problems]

    return load


@pytest.mark.parametrize(
    ("files", "target"),
    [
        (["shop.py"], "shop:app"),
        (["shop/__init__.py", "shop/web.py"], "shop.web:app"),
        (["shop/web.py"], "shop.web:app"),
        (["installed/shop/__init__.py"], "shop:app"),
        (["shop.cpython-311-x86_64-linux-gnu.so"], "shop:app"),
        ([], "wsgiref.simple_server:demo_app"),
    ],
)
def test_what_may_be_there_is_left_alone(
    messages: Callable[..., list[str]], tmp_path: Path, files: list[str], target: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(BOOM + "app = 1\n")

    assert messages(target) == []


@pytest.mark.parametrize("target", ["shop:app", "tickets.web:app", "shop.deep.er:app"])
def test_what_is_surely_absent_stops_the_app(
    messages: Callable[..., list[str]], tmp_path: Path, target: str
) -> None:
    (tmp_path / "tickets.py").write_text(BOOM)

    (message,) = messages(target)
    assert message.startswith(f"there is no module {target.partition(':')[0]} in ")


def test_a_path_file_that_runs_code_makes_everything_possible(
    messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    hook = tmp_path / "installed" / "editable.pth"
    hook.write_text("import finder_of_shop\n")
    assert messages("shop:app") == []

    (tmp_path / "elsewhere").mkdir()
    hook.write_text(f"# words\n{tmp_path}/elsewhere\n")
    assert len(messages("shop:app")) == 1
    (tmp_path / "elsewhere" / "shop.py").write_text("app = 1\n")
    assert messages("shop:app") == []


def test_another_environment_is_searched_and_not_ours(
    messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    packages = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (tmp_path / "env" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (tmp_path / "installed" / "shop.py").write_text("app = 1\n")

    assert len(messages("shop:app", extra='venv = "env"\n')) == 1
    (packages / "shop.py").write_text("app = 1\n")
    assert messages("shop:app", extra='venv = "env"\n') == []
    (packages / "shop.py").unlink()
    (tmp_path / "env" / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert messages("shop:app", extra='venv = "env"\n') == []


@pytest.mark.parametrize(
    "source",
    [
        "app = 1",
        "app: object = make()",
        "from shop_web import application as app",
        "import app",
        "def app(environ, start_response): ...",
        "class app: ...",
        "if True:\n    app = 1",
        "try:\n    pass\nexcept Exception:\n    app = 1",
        "with x() as app: ...",
        "for app in y: ...",
        "a, (b, app) = z",
        "from shop_web import *",
        "def __getattr__(name): ...",
        "globals()['app'] = 1",
        "(app := 1)",
        "app = = 1",
    ],
)
def test_every_way_to_define_a_name_counts(
    messages: Callable[..., list[str]], tmp_path: Path, source: str
) -> None:
    (tmp_path / "shop.py").write_text(source + "\n")

    assert messages("shop:app") == []


@pytest.mark.parametrize(
    "source",
    [
        "ap = 1",
        "def f():\n    app = 1",
        "class C:\n    app = 1",
        "x = lambda app: app",
        "x = y.app",
    ],
)
def test_a_name_that_is_not_at_the_top_level_is_told(
    messages: Callable[..., list[str]], tmp_path: Path, source: str
) -> None:
    (tmp_path / "shop.py").write_text(source + "\n")

    assert messages("shop:app") == ['shop.py has no "app" at its top level']


def test_a_warning_about_a_name_does_not_stop_the_app(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def make():\n    return 1\n")
    file = tmp_path / "mergepoint.toml"
    file.write_text('[apps.it]\nwsgi = "shop:make"\n')
    loaded = inspect(file, profile="development", environ={})

    assert loaded.site is not None
    assert not loaded.site.failures
    assert [(p.severity, p.fix) for p in loaded.problems] == [
        (Severity.WARNING, 'write "shop:make()"')
    ]
