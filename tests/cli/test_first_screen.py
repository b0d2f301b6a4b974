"""The first screen and the lines after it, from the steps a supervisor tells.

Place:  tests/cli
Rule:   steps in, text out; time comes from a clock that the test moves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mergepoint.cli.access_line import short_access
from mergepoint.cli.board import split_detail
from mergepoint.cli.first_screen import url_of
from mergepoint.cli.log_view import LogView
from mergepoint.cli.remedy import remedy
from mergepoint.cli.run_reporter import RunReporter
from mergepoint.detect.serving import framework_of
from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import Listener, Site
from mergepoint.supervisor.report import LogLine, Progress, Step

MANIFEST = """
[site]
name = "acme"
listen = ["127.0.0.1:8000", {{ name = "admin", address = "127.0.0.1:8100", admin = true }}]

[apps.tickets]
wsgi = "app:app"
directory = "flask_plain"

[apps.search]
asgi = "main:app"
directory = "fastapi_app"
at = "search.example.org"
processes = 2

[apps.board]
command = ["node", "server.js"]
directory = "node_app"

[apps.files]
static = "."
directory = "static_site"
at = ["/files", "/downloads"]
"""


class MovedClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic_s(self) -> float:
        return self.now

    def unix_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def acme(tmp_path: Path, project: Any, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("flask_plain", "fastapi_app", "node_app", "static_site"):
        project(name)
    manifest = tmp_path / "mergepoint.toml"
    manifest.write_text(MANIFEST.format())
    return load_site(manifest, profile="development", environ={"PATH": os.environ["PATH"]})


def started(site: Site, *, keys: bool = False) -> tuple[RunReporter, MovedClock]:
    clock = MovedClock()
    frameworks = {name: framework_of(app).partition(" ")[0] for name, app in site.apps.items()}
    reporter = RunReporter(clock, lambda _site: frameworks, keys=keys, verbose=False)
    reporter.begin(site)
    return reporter, clock


def ready(reporter: RunReporter, app: str, slot: int = 0) -> None:
    reporter.progress(Progress(Step.READY, app, slot, "0.5 s"))


def test_the_first_screen_reads_as_agreed(acme: Site, golden: Any, capsys: Any) -> None:
    reporter, clock = started(acme, keys=True)
    clock.now += 0.4
    ready(reporter, "tickets")
    clock.now += 0.5
    ready(reporter, "search", 0)
    ready(reporter, "search", 1)
    reporter.progress(
        Progress(
            Step.FAILED,
            "board",
            0,
            "server.js:1: Error: Cannot find module 'express'",
            "mergepoint logs board",
        )
    )
    assert capsys.readouterr().out == ""
    clock.now += 0.9
    reporter.progress(Progress(Step.SITE_READY))

    golden("first_screen", capsys.readouterr().out)


def test_lines_before_the_screen_come_after_it(acme: Site, capsys: Any) -> None:
    reporter, _ = started(acme)
    reporter.line(LogLine(1.0, "tickets", 0, "output", "imported"))
    assert capsys.readouterr().out == ""

    reporter.progress(Progress(Step.SITE_READY))

    shown = capsys.readouterr().out
    assert shown.index("ready in") < shown.index("tickets.0    imported")


def test_a_start_that_takes_long_says_what_has_come(acme: Site, capsys: Any) -> None:
    reporter, clock = started(acme)
    clock.now += 5

    ready(reporter, "tickets")

    assert "tickets.0    ready" in capsys.readouterr().out


def test_a_refused_release_is_told_once_with_what_serves(acme: Site, capsys: Any) -> None:
    reporter, _ = started(acme)
    ready(reporter, "tickets")
    reporter.progress(Progress(Step.SITE_READY))
    capsys.readouterr()

    for step in (Step.FAILED, Step.REFUSED):
        reporter.progress(Progress(step, "tickets", 0, "NameError: x", "mergepoint logs tickets"))

    shown = capsys.readouterr().out
    assert shown.count("NameError: x") == 1
    assert "the old release keeps serving" in shown
    assert "next: mergepoint logs tickets" in shown


def test_a_crash_without_another_process_is_told(acme: Site, capsys: Any) -> None:
    reporter, _ = started(acme)
    ready(reporter, "tickets")
    reporter.progress(Progress(Step.SITE_READY))
    capsys.readouterr()

    reporter.progress(Progress(Step.CRASHED, "tickets", 0, "killed by SIGKILL"))
    reporter.progress(Progress(Step.FAILED, "tickets", 0, "NameError: x"))

    shown = capsys.readouterr().out
    assert "crashed  killed by SIGKILL" in shown
    assert "failed  NameError: x" in shown


def test_log_lines_can_be_turned_off_and_on(acme: Site, capsys: Any) -> None:
    reporter, _ = started(acme)
    reporter.progress(Progress(Step.SITE_READY))
    capsys.readouterr()

    reporter.logs = False
    reporter.line(LogLine(1.0, "tickets", 0, "output", "one"))
    reporter.logs = True
    reporter.line(LogLine(1.0, "tickets", 0, "output", "two"))

    assert capsys.readouterr().out == "tickets.0    two\n"


def test_a_terminal_that_has_gone_does_not_end_the_site(
    acme: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter, _ = started(acme)

    def gone(_text: str) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdout.write", gone)
    reporter.progress(Progress(Step.SITE_READY))

    assert reporter.logs is False


COMBINED = (
    '127.0.0.1 - - [21/Nov/2026:10:36:56 +0000] "GET /shop/ HTTP/1.1" {} 754 "-" "curl/7.88.1" '
    '"shop" 0 "bea1" "86ec" 6.485ms 5.737ms'
)


@pytest.mark.parametrize(
    ("status", "style"), [("200", "ok"), ("304", "link"), ("404", "warn"), ("503", "bad")]
)
def test_a_request_becomes_a_short_line_in_the_colour_of_its_status(
    status: str, style: str
) -> None:
    assert short_access(COMBINED.format(status)) == ("shop", f"GET /shop/  {status}  6.5 ms", style)


@pytest.mark.parametrize("text", ["hello", "{", '{"a": 1}', "[]", '127.0.0.1 - - "GET /"', ""])
def test_other_lines_are_left_as_they_are(text: str) -> None:
    assert short_access(text) is None


@pytest.mark.parametrize(
    ("address", "tls", "url"),
    [
        ("127.0.0.1:8000", False, "http://127.0.0.1:8000/"),
        ("0.0.0.0:80", False, "http://localhost/"),
        ("[::]:443", True, "https://localhost/"),
        ("[::1]:8443", True, "https://[::1]:8443/"),
        ("unix:/run/acme/http.sock", False, "unix:/run/acme/http.sock"),
    ],
)
def test_addresses_are_shown_as_a_browser_takes_them(address: str, tls: bool, url: str) -> None:
    assert url_of(Listener("http", address, tls=tls)) == url


@pytest.mark.parametrize(
    ("detail", "parts"),
    [
        ("chat/app.py:12: NameError: x", ("NameError: x", "chat/app.py:12")),
        ("exit code 3", ("exit code 3", "")),
        ("NameError: name 'x': no", ("NameError: name 'x': no", "")),
    ],
)
def test_a_place_is_told_from_its_reason(detail: str, parts: tuple[str, str]) -> None:
    assert split_detail(detail) == parts


def test_remedies_name_the_command_of_the_apps_own_environment(acme: Site) -> None:
    app = acme.apps["tickets"]

    def after(reason: str) -> str:
        return remedy(reason, app)

    assert after("ModuleNotFoundError: No module named 'yaml'").endswith("-m pip install pyyaml")
    assert after("ModuleNotFoundError: No module named 'a.b'").endswith("-m pip install a")
    assert "holds no module 'app'" in after("ModuleNotFoundError: No module named 'app'")
    assert "app:app" in after("AttributeError: module 'app' has no attribute 'app'")
    assert after("Cannot find module 'express'") == f"cd {app.directory} && npm install"
    assert after("Cannot find module './own.js'") == ""
    assert after("ValueError: whatever") == ""


def test_frameworks_are_named_with_the_version_of_the_apps_environment(
    acme: Site, tmp_path: Path
) -> None:
    from dataclasses import replace

    packages = tmp_path / "venv/lib/python3.12/site-packages"
    (packages / "Flask-3.1.2.dist-info").mkdir(parents=True)
    app = replace(acme.apps["tickets"], python=tmp_path / "venv/bin/python")

    assert framework_of(app) == "Flask 3.1"
    assert framework_of(acme.apps["board"]) == "node"
    assert framework_of(acme.apps["files"]) == "static files"
    assert framework_of(replace(app, target="nowhere:app")) == "WSGI"


def test_log_lines_have_time_and_place_and_leave_out_the_machines_own(capsys: Any) -> None:
    from click import Command

    from mergepoint.cli.invocation import Invocation

    with Command("logs").make_context("logs", [], obj=Invocation(no_color=True)):
        view = LogView()
        view.show({"line": {"at": 0, "app": "shop", "slot": 1, "text": "hello"}})
        view.show({"line": {"at": 0, "app": "shop", "slot": 1, "text": 'mergepoint-failure: {"a"'}})
        view.show({"progress": {}})
        shown = capsys.readouterr().out

    assert shown.endswith("shop.1       hello\n")
    assert shown.count("\n") == 1
