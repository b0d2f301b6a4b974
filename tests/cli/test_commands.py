"""Exit codes, errors and documents of the commands that need no running site.

Place:  tests/cli
Rule:   data on stdout, talk on stderr; every error says what to type next.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import Exit

LIVE = [
    ["status"],
    ["logs"],
    ["inflight"],
    ["metrics"],
    ["balance"],
    ["reload"],
    ["restart"],
    ["scale", "hello", "2"],
    ["stop"],
]
NEED_A_MANIFEST = [
    *LIVE,
    ["check"],
    ["routes"],
    ["explain", "/"],
    ["config", "show"],
    ["run"],
    ["start"],
]


@pytest.mark.parametrize("arguments", NEED_A_MANIFEST, ids=" ".join)
def test_without_a_manifest_it_says_how_to_begin(cli: Any, arguments: list[str]) -> None:
    ran = cli(*arguments)

    assert ran.code == Exit.CONFIG
    assert ran.out == ""
    assert "error: no mergepoint.toml in" in ran.err
    assert "next: mergepoint new" in ran.err


@pytest.mark.parametrize("arguments", LIVE, ids=" ".join)
def test_a_site_that_does_not_run_is_exit_three(cli: Any, site: Path, arguments: list[str]) -> None:
    ran = cli(*arguments)

    assert ran.code == Exit.NOT_RUNNING
    assert "error: the site is not running" in ran.err
    assert "next: mergepoint run" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("arguments", LIVE, ids=" ".join)
def test_under_json_an_error_is_a_document_too(cli: Any, site: Path, arguments: list[str]) -> None:
    document = cli(*arguments, "--json").document

    assert document["schema"] == 1
    assert document["error"]["code"] == "supervisor.not_running"
    assert document["error"]["next"]


@pytest.mark.parametrize(
    "arguments", [["logs", "helo"], ["reload", "helo"], ["restart", "helo"], ["scale", "helo", "2"]]
)
def test_an_unknown_app_is_answered_with_the_near_one(
    cli: Any, site: Path, arguments: list[str]
) -> None:
    ran = cli(*arguments)

    assert ran.code == Exit.USAGE
    assert "no app 'helo' in this site; did you mean 'hello'?" in ran.err


def test_a_name_like_nothing_is_answered_with_all(cli: Any, site: Path) -> None:
    assert "apps: hello, tickets" in cli("restart", "xyz").err


def test_an_app_without_processes_cannot_be_restarted(cli: Any, site: Path) -> None:
    site.write_text(site.read_text() + '\n[apps.files]\nstatic = "hello"\nat = "/files"\n')

    ran = cli("restart", "files")

    assert ran.code == Exit.USAGE
    assert "is static and has no processes" in ran.err


@pytest.mark.parametrize("share", ["0", "100%", "1", "ten", "-5%"])
def test_a_canary_share_that_is_none_is_a_usage_error(cli: Any, site: Path, share: str) -> None:
    ran = cli("reload", f"--canary={share}")

    assert ran.code == Exit.USAGE
    assert "write 10% or 0.1" in ran.err


BROKEN = '[site]\nname = "acme"\n\n[apps.hello]\nwsgy = "hello:application"\nprocesses = "many"\n'


def test_a_broken_manifest_is_exit_78_with_every_error(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "mergepoint.toml").write_text(BROKEN)

    ran = cli("check")

    assert ran.code == Exit.CONFIG
    assert "mergepoint.toml:5: " in ran.out
    assert "mergepoint.toml:6: " in ran.out
    assert "wsgi" in ran.out


def test_check_reads_as_agreed(cli: Any, site: Path, golden: Any, project: Any) -> None:
    project("flask_plain")
    cli("add", "flask_plain", "--at", "/shop", "--name", "shop")
    ran = cli("check")

    golden("check", ran.out + ran.err)
    assert ran.code == Exit.FAILED, "an app whose requirements are missing could not start"


def test_check_of_a_sound_site_is_zero(cli: Any, site: Path) -> None:
    ran = cli("check")

    assert (ran.code, ran.out) == (0, "")
    assert "2 apps, ready to run: mergepoint run" in ran.err
    assert cli("check", "--json").document["problems"] == []


def test_check_as_a_document_names_place_and_fix(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "mergepoint.toml").write_text(BROKEN)

    ran = cli("check", "--json")

    assert ran.code == Exit.CONFIG
    assert ran.document["refused"] is True
    problem = ran.document["problems"][0]
    assert problem.keys() == {
        "severity", "where", "file", "line", "path", "message", "value", "fix", "app",
    }  # fmt: skip


def test_check_strict_fails_on_warnings(cli: Any, site: Path, tmp_path: Path) -> None:
    (tmp_path / "hello/page.html").write_text('<a href="/about">x</a>')

    assert cli("check").code == 0
    assert cli("check", "--strict").code == Exit.FAILED


def test_routes_read_as_agreed(cli: Any, site: Path, golden: Any) -> None:
    golden("routes", cli("routes").out)


def test_explain_reads_as_agreed(cli: Any, site: Path, golden: Any) -> None:
    golden("explain", cli("explain", "/tickets/42?x=1", "-H", "X-Forwarded-For: 6.6.6.6").out)


def test_explain_without_an_answer_is_exit_one(cli: Any, site: Path) -> None:
    site.write_text(site.read_text().replace('at = "/"', 'at = "/hello"'))

    ran = cli("explain", "/nowhere", "--json")

    assert ran.code == Exit.FAILED
    assert ran.document["app"] is None
    assert len(ran.document["considered"]) == 2


@pytest.mark.parametrize("url", ["/a/../b", "ftp://x/", "/%zz"])
def test_explain_of_a_target_the_edge_refuses_says_why(cli: Any, site: Path, url: str) -> None:
    ran = cli("explain", url)

    assert ran.code == Exit.FAILED
    assert "error: " in ran.err


def test_explain_wants_headers_as_curl_does(cli: Any, site: Path) -> None:
    assert cli("explain", "/", "-H", "nothing").code == Exit.USAGE


def test_config_shows_each_value_with_its_origin(
    cli: Any, site: Path, monkeypatch: pytest.MonkeyPatch, golden: Any
) -> None:
    monkeypatch.setenv("PORT", "8123")

    shown = cli("config", "show", "--origin").out

    golden("config_show", shown)
    assert "environment PORT" in shown


def test_config_of_one_app_includes_its_defaults(cli: Any, site: Path) -> None:
    shown = cli("config", "show", "apps.hello.timeouts").out

    assert "apps.hello.timeouts.request_s = 30.0" in shown
    assert "site." not in shown


def test_the_schema_is_a_schema_of_the_manifest(cli: Any) -> None:
    schema = json.loads(cli("config", "schema").out)

    assert schema["$schema"].endswith("/2020-12/schema")
    assert {"site", "apps", "profiles"} <= schema["properties"].keys()
    page = Path(__file__).resolve().parents[2] / "docs/reference/mergepoint.schema.json"
    assert schema == json.loads(page.read_text())


def test_new_makes_a_site_that_check_finds_sound(cli: Any, tmp_path: Path) -> None:
    ran = cli("new", "My Site")

    assert ran.code == 0
    assert "My Site/mergepoint.toml" in ran.out
    assert 'name = "my-site"' in (tmp_path / "My Site/mergepoint.toml").read_text()
    checked = cli("check", "--config", "My Site", "--strict")
    assert checked.code == 0, checked.out + checked.err


def test_new_never_overwrites(cli: Any, tmp_path: Path) -> None:
    cli("new", "demo")
    (tmp_path / "demo/README.md").write_text("mine")

    ran = cli("new", "demo")

    assert ran.code == Exit.FAILED
    assert "nothing was written" in ran.err
    assert (tmp_path / "demo/README.md").read_text() == "mine"


def test_new_works_in_the_directory_one_stands_in(cli: Any, tmp_path: Path) -> None:
    ran = cli("new", ".")

    assert ran.code == 0
    assert (tmp_path / "mergepoint.toml").is_file()
    assert "cd " not in ran.err


def test_new_where_one_may_not_write_says_so(cli: Any) -> None:
    assert "cannot write" in cli("new", "/proc/demo").err


def test_doctor_looks_at_everything_and_names_fixes(cli: Any, site: Path) -> None:
    ran = cli("doctor", "--json")

    checks = ran.document["checks"]
    names = {check["name"] for check in checks}
    assert {"python", "versions", "edge", "open files", "memory", "clock", "ports"} <= names
    assert {"directories", "disk", "manifest", "hello", "tickets"} <= names
    assert all(c["fix"] for c in checks if c["state"] == "failed")
    assert ran.code == (Exit.FAILED if any(c["state"] == "failed" for c in checks) else 0)


def test_doctor_without_a_manifest_looks_at_the_machine(cli: Any) -> None:
    checks = cli("doctor", "--json").document["checks"]

    assert checks[-1]["name"] == "manifest"
    assert checks[-1]["state"] == "warning"


def test_doctor_finds_a_missing_edge(cli: Any, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGEPOINT_EDGE_BINARY", "/nowhere/mergepoint-edge")

    ran = cli("doctor")

    assert ran.code == Exit.FAILED
    assert "FAIL  edge           /nowhere/mergepoint-edge is not a program" in ran.out


def test_quiet_says_nothing_and_still_answers(cli: Any, site: Path) -> None:
    assert cli("check", "--quiet").err == ""
    assert cli("--quiet", "check").err == ""
    assert cli("routes", "-q").out != ""


def test_common_options_work_on_both_sides_of_the_command(
    cli: Any, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.parent / "elsewhere").mkdir()
    monkeypatch.chdir(site.parent / "elsewhere")
    before = cli("--config", str(site), "routes")
    after = cli("routes", "--config", str(site))

    assert before.out == after.out != ""
    monkeypatch.setenv("MERGEPOINT_CONFIG", str(site))
    assert cli("routes").out == before.out


def test_a_profile_that_is_not_there_is_named(cli: Any, site: Path) -> None:
    ran = cli("routes", "--profile", "prodution")

    assert ran.code == Exit.CONFIG
    assert "production" in ran.err


class Terminal:
    def isatty(self) -> bool:
        return True


class Pipe:
    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("environment", "no_color", "stream", "colored"),
    [
        ({}, False, Terminal(), True),
        ({}, False, Pipe(), False),
        ({"NO_COLOR": "1"}, False, Terminal(), False),
        ({"NO_COLOR": ""}, False, Terminal(), True),
        ({}, True, Terminal(), False),
        ({"FORCE_COLOR": "1"}, False, Pipe(), True),
        ({"FORCE_COLOR": "1"}, True, Pipe(), False),
    ],
)
def test_colours_are_for_terminals_whose_owner_wants_them(
    environment: dict[str, str],
    no_color: bool,
    stream: Any,
    colored: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert Invocation(no_color=no_color).colors(stream) is colored


def test_a_reader_that_leaves_early_is_no_error(site: Path) -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'set -o pipefail; "{sys.executable}" -m mergepoint config schema | head -1',
        ],
        cwd=site.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == "{\n"


def test_a_bug_of_ours_is_short_and_keeps_the_traceback_in_a_file(
    cli: Any, site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "cwd", lambda: 1 / 0)

    ran = cli("routes")

    assert ran.code == Exit.FAILED
    assert "Traceback" not in ran.err
    assert "this is a bug in mergepoint: ZeroDivisionError" in ran.err
    (file,) = tmp_path.glob("mergepoint-bug-*.txt")
    assert str(file) in ran.err
    assert "Traceback" in file.read_text()
