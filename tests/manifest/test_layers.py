"""Which layer wins: flags, the environment, .env, the profile, the file; and who is told.

Place:  make test
Rule:   every test writes a real file and loads it through the public door.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.errors import Exit, ManifestRefused
from mergepoint.manifest.load import inspect, load_site
from mergepoint.manifest.read import find_manifest
from mergepoint.manifest.settings import list_settings
from mergepoint.manifest.site import (
    Kind,
    Mode,
    Processes,
    Site,
)

TICKETS = '[apps.tickets]\nwsgi = "tickets:app"\n'
Load = Callable[..., Site]


PROFILED = """\
[apps.tickets]
wsgi = "tickets:app"
processes = { min = 2, max = 3 }
env = { A = "file", B = "file" }

[profiles.production.site]
access_log = "off"

[profiles.production.apps.tickets]
env = { B = "profile" }
processes = 5

[profiles.staging]
mode = "development"

[profiles.fast.apps.tickets]
command = "sh serve"
"""


def test_a_profile_is_merged_key_by_key(load: Load) -> None:
    site = load(PROFILED, profile="production")

    assert (site.access_log, site.mode, site.profile) == ("off", Mode.PRODUCTION, "production")
    assert site.apps["tickets"].processes == Processes(5, 5, 5)
    assert site.apps["tickets"].environment == {"A": "file", "B": "profile"}
    assert load(PROFILED).apps["tickets"].processes == Processes(2, 2, 3)


def test_a_profile_of_ones_own_says_its_mode_and_may_change_the_kind(load: Load) -> None:
    assert load(PROFILED, profile="staging").mode is Mode.DEVELOPMENT
    fast = load(PROFILED.replace("env = { A", "# env = { A"), profile="fast")
    assert (fast.mode, fast.apps["tickets"].kind) == (Mode.PRODUCTION, Kind.COMMAND)


def test_flags_beat_the_environment_beats_dotenv_beats_the_profile(
    load: Load, tmp_path: Path
) -> None:
    name = "MERGEPOINT__APPS__TICKETS__THREADS"
    text = TICKETS + "threads = 1\n[profiles.development.apps.tickets]\nthreads = 2\n"

    def threads(**rest: Any) -> int:
        return load(text, **rest).apps["tickets"].threads

    assert threads() == 2
    (tmp_path / ".env").write_text(f"{name}=3\n")
    assert threads() == 3
    assert threads(environ={name: "4"}) == 4
    assert threads(environ={name: "4"}, apps__tickets__threads=5) == 5
    assert threads(profile="production") == 1


def test_dotenv_reaches_the_apps_in_development_only(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('# words\nDATABASE_URL="sqlite:///x"\nexport MODE=dev\n')
    (tmp_path / "own.env").write_text("MODE=own\nOTHER=1\n")
    text = TICKETS + 'env_file = "own.env"\nenv = { OTHER = 2 }\n'

    assert load(text).apps["tickets"].environment == {
        "DATABASE_URL": "sqlite:///x",
        "MODE": "own",
        "OTHER": "2",
    }
    production = load(text, profile="production").apps["tickets"].environment
    assert production == {"MODE": "own", "OTHER": "2"}


@pytest.mark.parametrize(
    ("listen", "environ", "flags", "address"),
    [
        ('"127.0.0.1:8000"', {"PORT": "9000"}, {}, "127.0.0.1:9000"),
        ('":8000"', {"PORT": "9000", "HOST": "127.0.0.1"}, {}, "127.0.0.1:9000"),
        ('["127.0.0.1:1", "127.0.0.1:2"]', {"PORT": "9000"}, {"port": 9001}, "127.0.0.1:9001"),
        ('{ address = "127.0.0.1:8000", name = "x" }', {"PORT": "9000"}, {}, "127.0.0.1:9000"),
        ('"unix:/tmp/x.sock"', {"PORT": "9000"}, {}, "127.0.0.1:9000"),
        ('"127.0.0.1:8000"', {"HOST": "::1"}, {}, "[::1]:8000"),
    ],
)
def test_port_and_host_change_the_first_listener(
    load: Load, listen: str, environ: dict[str, str], flags: dict[str, Any], address: str
) -> None:
    site = load(f"[site]\nlisten = {listen}\n{TICKETS}", environ=environ, **flags)

    assert site.listeners[0].address == address


def test_the_platforms_own_variables_are_heard(load: Load) -> None:
    environ = {"WEB_CONCURRENCY": "3", "FORWARDED_ALLOW_IPS": "10.0.0.1, 10.1.0.0/16"}
    site = load(TICKETS, environ=environ)

    assert site.apps["tickets"].processes == Processes(3, 3, 3)
    assert site.trusted_proxies == ("10.0.0.1", "10.1.0.0/16")
    assert load(TICKETS + "processes = 1\n", environ=environ).apps["tickets"].processes.max == 1


def test_a_wrong_variable_or_flag_is_refused_by_its_own_name(load: Load) -> None:
    name = "MERGEPOINT__APPS__TICKETS__THREDS"
    with pytest.raises(ManifestRefused) as refused:
        load(TICKETS, environ={name: "4"}, site__access_log="loud")

    assert refused.value.exit is Exit.CONFIG
    assert [str(problem) for problem in refused.value.problems] == [
        f'environment {name}: apps.tickets.threds: unknown key "threds"; did you mean "threads"?',
        'flag site.access_log: site.access_log: must be "json", "combined" or "off" (is "loud")',
    ]


def test_pyproject_holds_a_manifest_and_keeps_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\nname = "x"\n[tool.mergepoint.apps.tickets]\nwsgi = "a:b"\nthread = 2\n'
    )

    with pytest.raises(ManifestRefused) as refused:
        load_site(file, profile="development", environ={})

    assert str(refused.value.problems[0]).startswith(
        "pyproject.toml:5: apps.tickets.thread: unknown"
    )


def test_the_manifest_is_found_upwards_by_flag_and_by_variable(tmp_path: Path) -> None:
    own = tmp_path / "mergepoint.toml"
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    with pytest.raises(ManifestRefused, match=r"no mergepoint\.toml") as refused:
        find_manifest(deep, None, {})
    assert "mergepoint new" in refused.value.next

    own.write_text(TICKETS)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.ruff]\n")
    assert find_manifest(deep, None, {}) == own
    shared = deep / "pyproject.toml"
    shared.write_text("[tool.mergepoint.site]\n")
    assert find_manifest(deep, None, {}) == shared
    assert find_manifest(deep, None, {"MERGEPOINT_CONFIG": str(own)}) == own
    assert find_manifest(deep, tmp_path, {"MERGEPOINT_CONFIG": "nowhere"}) == own
    with pytest.raises(ManifestRefused, match="MERGEPOINT_CONFIG: there is no file"):
        find_manifest(deep, None, {"MERGEPOINT_CONFIG": "nowhere"})


def test_every_setting_is_listed_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "mergepoint.toml"
    file.write_text(
        '[site]\nname = "acme"\n' + TICKETS + 'timeout_s = 3\nenv = { API_KEY = "hunter2", URL = '
        '"redis://u:hunter2@h/0" }\n[profiles.production.site]\naccess_log = "off"\n'
    )
    (tmp_path / ".env").write_text("\n\nMERGEPOINT__SITE__EDGE_THREADS=2\n")
    loaded = inspect(
        file,
        profile="development",
        environ={"PORT": "8001"},
        overrides={"apps.tickets.threads": 8},
    )
    rows = {row.path: row for row in list_settings(loaded)}

    assert (rows["site.name"].value, rows["site.name"].origin) == ('"acme"', "mergepoint.toml:2")
    assert rows["site.listen"].origin == "environment PORT"
    assert rows["site.edge_threads"].origin == ".env:3"
    assert rows["apps.tickets.threads"].origin == "flag apps.tickets.threads"
    assert rows["apps.tickets.processes"].value == "1"
    assert rows["apps.tickets.processes"].origin == "default"
    assert rows["apps.tickets.env.API_KEY"].secret
    assert "apps.tickets.timeouts.request_s" not in rows
    assert "apps.tickets.static" not in rows
    assert not any("hunter2" in row.value for row in rows.values())
    production = list_settings(inspect(file, profile="production", environ={}))
    assert [row.origin for row in production if row.path == "site.access_log"] == [
        "mergepoint.toml:8"
    ]
