"""A reload sees changed files, and nothing else that happens beside them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mergepoint.supervisor import sources
from mergepoint.supervisor.sources import fingerprint


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return the directory of an app with a program, a package and what it writes."""
    for name in ("app.py", "pages/home.html", "state/secret", "env/pyvenv.cfg", "env/lib/x.py",
                 "__pycache__/app.pyc", "data.sqlite3", "site.toml"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


def seen(app: Path) -> str:
    return fingerprint([app], [app / "state", app / "site.toml"])


@pytest.mark.parametrize("name", ["app.py", "pages/home.html", "pages/new.html"])
def test_a_changed_or_new_file_is_seen(app: Path, name: str) -> None:
    before = seen(app)
    (app / name).write_text("22")
    assert seen(app) != before


def test_a_file_of_the_same_size_is_seen_by_its_time(app: Path) -> None:
    before, at = seen(app), (app / "app.py").stat().st_mtime_ns
    os.utime(app / "app.py", ns=(at, at + 1))
    assert seen(app) != before


def test_a_removed_file_is_seen(app: Path) -> None:
    before = seen(app)
    (app / "pages/home.html").unlink()
    assert seen(app) != before


@pytest.mark.parametrize(
    "name",
    ["state/secret", "env/lib/x.py", "__pycache__/app.pyc", "data.sqlite3", "data.sqlite3-wal",
     "site.toml", "debug.log"],
)  # fmt: skip
def test_what_is_written_beside_a_program_is_no_part_of_it(app: Path, name: str) -> None:
    before = seen(app)
    (app / name).write_text("22")
    assert seen(app) == before


def test_a_link_set_to_another_release_is_seen(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("1")
    before = fingerprint([tmp_path / "current"])
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("2")
    assert fingerprint([tmp_path / "current"]) != before


def test_the_number_of_files_is_bounded(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FILES_MAX", 1)
    before = seen(app)
    (app / "pages/home.html").write_text("22")
    assert seen(app) == before, "app.py is the first and only one"


def two(site) -> None:
    """Write a site of two apps with a directory each."""
    for name in ("shop", "blog"):
        (site.directory / name).mkdir()
        (site.directory / name / "code.py").write_text("1")
    site.write("".join(
        site.app(name, f'watch = ["{name}"]', at=f"/{name}") for name in ("shop", "blog")
    ))  # fmt: skip
    site.start()


def test_a_reload_rolls_the_app_whose_files_changed_and_no_other(site) -> None:
    two(site)
    blog = site.pids("blog")
    assert site.ask("reload")["rolled"] == []
    (site.directory / "shop/code.py").write_text("22")
    assert site.ask("reload")["rolled"] == ["shop"]
    assert site.ask("reload")["rolled"] == []
    assert site.pids("blog") == blog


def test_a_named_reload_leaves_changed_files_of_other_apps_for_later(site) -> None:
    two(site)
    for name in ("shop", "blog"):
        (site.directory / name / "code.py").write_text("22")
    assert site.ask("reload", apps=["shop"])["rolled"] == ["shop"]
    assert site.ask("reload")["rolled"] == ["blog"]


def test_the_hang_up_signal_sees_changed_files(site) -> None:
    two(site)
    (site.directory / "shop/code.py").write_text("22")
    site.process.send_signal(signal.SIGHUP)
    site.wait_for(lambda: site.told("rolled", "shop"), "shop rolled")
    assert not site.told("rolled", "blog")


def test_a_restart_counts_as_having_seen_the_files(site) -> None:
    two(site)
    (site.directory / "shop/code.py").write_text("22")
    site.ask("restart", apps=["shop"])
    assert site.ask("reload")["rolled"] == []


def test_a_new_supervisor_rolls_nothing_and_still_sees_what_changed_meanwhile(site) -> None:
    two(site)
    before = site.pids("shop")
    site.kill_supervisor()
    (site.directory / "shop/code.py").write_text("22")
    site.start()
    assert site.pids("shop") == before
    assert site.ask("reload")["rolled"] == ["shop"]
    assert site.pids("shop") != before
