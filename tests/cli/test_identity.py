"""A site with identity at the command line: who may pass, the first administrator, no secret shown.

Place:  tests/cli
Rule:   real accounts and, where a site must run, a real site; what a person reads is what is asked.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.sites import RunningSite, command, end_site

from mergepoint.cli.board import Board
from mergepoint.cli.first_administrator import AdministratorLink, ask_accounts
from mergepoint.cli.first_screen import first_screen
from mergepoint.core.clock import SystemClock
from mergepoint.core.errors import Exit
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.from_site import keys_dir, site_settings
from mergepoint.identity.accounts.service.people import People
from mergepoint.identity.accounts.store.unit import Store
from mergepoint.identity.keys import EDGE, SESSION, rotate_ring
from mergepoint.manifest.load import load_site
from mergepoint.manifest.site import Site
from mergepoint.supervisor.report import LogLine, Progress, Step

SECRET = "hunter2-of-the-provider"
SIGNS_S_MAX = 60.0
"""A key signs five seconds after it was made; the rest is for machines with other work."""
MANIFEST = """\
[site]
name = "acme"
listen = "127.0.0.1:{port}"

[identity]
public_url = "http://localhost:{port}"

[identity.oidc.gitlab]
issuer = "https://gitlab.example.org"
client_id = "acme"
client_secret = "env:GITLAB_SECRET"

[roles.editor]
permissions = ["tickets.edit"]

[apps.hello]
wsgi = "hello:application"
at = "/"
guards = [{ path = "/admin", require = "role:admin" }]
"""
HELLO = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
READ = (
    ["status"],
    ["routes"],
    ["config", "show"],
    ["explain", "/admin"],
    ["explain", "/-/accounts/"],
    ["doctor"],
    ["logs"],
)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GITLAB_SECRET", SECRET)
    (tmp_path / "hello.py").write_text(HELLO)
    file = tmp_path / "mergepoint.toml"
    file.write_text(MANIFEST.replace("{port}", str(free_port())))
    return file


def add(manifest: Path, user: str, **rest: Any) -> People:
    site = load_site(manifest, profile="development", environ=os.environ)
    settings = site_settings(site)
    people = People(Store(settings.database, SystemClock()), settings)
    people.add(user, Caller(), **rest)
    return people


def test_explain_as_somebody_shows_the_guard_what_they_have_and_the_verdict(
    cli: Any, manifest: Path
) -> None:
    add(manifest, "alice", name="Alice", roles=["editor"], groups=["ops"])

    ran = cli("explain", "/admin/x", "--as", "alice", "--method", "POST")

    assert ran.code == 0
    lines = dict(re.findall(r"^  (\w+) +(.*)$", ran.out, re.MULTILINE))
    assert lines["answer"] == "403 identity.forbidden"
    assert lines["who"] == "alice"
    assert lines["asked"] == "role:admin  by guard /admin  (mergepoint.toml:19)"
    assert (lines["roles"], lines["groups"], lines["permissions"]) == (
        "editor",
        "ops",
        "tickets.edit",
    )


def test_explain_as_somebody_who_may_shows_what_the_app_is_told(cli: Any, manifest: Path) -> None:
    add(manifest, "root", name="Ruth", email="ruth@example.org", roles=["admin"])

    document = cli("explain", "/admin", "--as", "root", "--json").document

    assert document["access"]["verdict"] == "allowed"
    assert document["headers"]["Remote-User"] == "root"
    assert document["access"]["headers"]["Remote-Email"] == "ruth@example.org"
    assert document["access"]["origin"] == "mergepoint.toml:19"


def test_explain_without_as_is_about_nobody(cli: Any, manifest: Path) -> None:
    document = cli("explain", "/admin", "--json").document

    assert document["access"]["user"] is None
    assert document["access"]["verdict"] == "needs_proof"
    assert document["answer"].startswith("303 to /-/accounts/login?next=/admin ")
    assert document["headers"] == {}


def test_an_unknown_or_disabled_name_is_an_error_with_the_next_step(
    cli: Any, manifest: Path
) -> None:
    nobody_yet = cli("explain", "/", "--as", "alice")
    made = list(manifest.parent.glob(".mergepoint/*.db"))
    people = add(manifest, "alice")
    unknown = cli("explain", "/", "--as", "alcie")
    alice = people.find("alice")
    assert alice is not None
    people.disable(alice.sub, Caller())
    disabled = cli("explain", "/", "--as", "alice")

    assert "error: nobody has an account yet" in nobody_yet.err
    assert "next: mergepoint users add alice" in nobody_yet.err
    assert made == [], "a question makes no database"
    assert "error: nobody logs in as 'alcie'; there are: alice" in unknown.err
    assert "next: mergepoint users list" in unknown.err
    assert "error: alice is disabled" in disabled.err
    assert "next: mergepoint users enable alice" in disabled.err
    assert {nobody_yet.code, unknown.code, disabled.code} == {Exit.FAILED}


def test_as_needs_a_site_with_identity(cli: Any, site: Path) -> None:
    ran = cli("explain", "/", "--as", "alice")

    assert ran.code == Exit.FAILED
    assert "error: acme has no identity" in ran.err
    assert "next: add [identity] to mergepoint.toml" in ran.err


def test_accounts_stands_among_the_apps(cli: Any, manifest: Path) -> None:
    routes = cli("routes", "--json").document["routes"]
    settings = cli("config", "show", "apps.accounts", "--origin").out

    assert ("accounts", "/-/accounts") in [(row["app"], row["path"]) for row in routes]
    assert 'apps.accounts.at = ["/-/accounts"]' in settings
    assert "mergepoint.toml:5" in settings


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []
        self.lines: list[LogLine] = []

    def progress(self, progress: Progress) -> None:
        self.steps.append(progress)

    def line(self, line: LogLine) -> None:
        self.lines.append(line)


STEPS = [
    Progress(Step.READY, "hello", 0),
    Progress(Step.READY, "accounts", 0),
    Progress(Step.SITE_READY),
    Progress(Step.READY, "accounts", 0),
]


def test_the_link_is_asked_for_once_when_site_and_accounts_serve(manifest: Path) -> None:
    heard, stream = Heard(), io.StringIO()
    link = AdministratorLink(heard, stream)
    link.begin(load_site(manifest, profile="development", environ=os.environ))
    for step in STEPS[:2]:
        link.progress(step)
    early = link.asking
    link.progress(STEPS[2])
    asking = link.asking
    link.progress(STEPS[3])
    assert asking is not None
    asking.join(60)
    again = ask_accounts(load_site(manifest, profile="development", environ=os.environ))

    assert (early, link.asking, heard.steps) == (None, asking, STEPS)
    assert stream.getvalue().count("/-/accounts/link/") == 1
    assert len(again) == len(stream.getvalue().splitlines()), "nobody has used it"


def test_no_link_is_shown_where_somebody_administers(manifest: Path) -> None:
    add(manifest, "root", roles=["admin"])

    assert ask_accounts(load_site(manifest, profile="development", environ=os.environ)) == []


def test_a_link_that_cannot_be_made_is_told_with_its_reason(manifest: Path) -> None:
    (manifest.parent / ".mergepoint").mkdir()
    (manifest.parent / ".mergepoint" / "accounts.db").mkdir()
    (line,) = ask_accounts(load_site(manifest, profile="development", environ=os.environ))

    assert line.startswith("  The link of the first administrator could not be made: ")
    assert SECRET not in line


def test_the_first_screen_names_the_address_where_one_logs_in(manifest: Path) -> None:
    site = load_site(manifest, profile="development", environ=os.environ)
    bare = replace(site, identity=None)
    shown = ["\n".join(first_screen(Board(one, 0.0), {}, 1.0, keys=False)) for one in (site, bare)]

    assert "http://localhost:" in shown[0]
    assert "http://127.0.0.1:" in shown[1]


@pytest.fixture
def running(manifest: Path) -> Iterator[RunningSite]:
    """Run the site for production, with what people read and what is logged in two files."""
    directory = manifest.parent
    port = int(re.findall(r"127.0.0.1:(\d+)", manifest.read_text())[0])
    environment = {**os.environ, "NO_COLOR": "1"}
    with (directory / "site.log").open("ab") as out, (directory / "told.log").open("ab") as err:
        process = subprocess.Popen(
            command(manifest, "start"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
    site = RunningSite(directory, port, process, environment)
    try:
        site.wait_ready()
        yield site
    finally:
        end_site(site)


def link_of(site: RunningSite) -> str:
    """Wait until the link was shown, and return it."""
    told = site.directory / "told.log"
    shown: list[str] = []

    def seen(_status: Any) -> bool:
        shown[:] = re.findall(r"http://\S+/-/accounts/link/\S+", told.read_text())
        return bool(shown)

    site.wait("link shown", seen)
    return shown[0]


def loaded(site: RunningSite) -> Site:
    return load_site(site.manifest, profile="production", environ=site.environment)


def said(site: RunningSite) -> str:
    """Return everything the site writes and answers, but the stream the link is shown on."""
    parts = [site.run("--profile", "production", *words).stdout for words in READ]
    parts += [site.run("--profile", "production", *w, "--json").stdout for w in READ[:-1]]
    files = [site.directory / "site.log", *site.directory.glob(".mergepoint/logs/*")]
    files += [loaded(site).run_dir / name for name in ("processes.json", "snapshot.json")]
    return "\n".join([*parts, *(file.read_text(errors="replace") for file in files)])


def test_the_first_administrator_gets_a_link_and_no_secret_shows_anywhere(
    running: RunningSite,
) -> None:
    link = link_of(running)
    everything = said(running)
    with urllib.request.urlopen(link, timeout=20) as page:
        status = page.status

    assert status == 200
    assert link.rpartition("/")[2] not in everything
    assert SECRET not in everything
    assert SECRET not in (running.directory / "told.log").read_text()
    assert "accounts" in running.status()["apps"]


def test_new_roles_and_new_keys_replace_accounts_and_nothing_else(running: RunningSite) -> None:
    production = ("--profile", "production")
    before = {name: running.pids(name) for name in ("accounts", "hello")}
    text = running.manifest.read_text()
    running.manifest.write_text(text.replace('["tickets.edit"]', '["tickets.*"]'))
    running.run(*production, "reload")
    roles = {name: running.pids(name) for name in before}
    site = loaded(running)
    rotate_ring(keys_dir(site), SESSION, SystemClock().unix_s())
    rotated = rotate_ring(keys_dir(site), EDGE, SystemClock().unix_s())
    running.run(*production, "reload")
    keys = {name: running.pids(name) for name in before}
    identity = json.loads((site.run_dir / "snapshot.json").read_text())["identity"]

    assert before["hello"] == roles["hello"] == keys["hello"]
    assert not set(before["accounts"]) & set(roles["accounts"])
    assert not set(roles["accounts"]) & set(keys["accounts"])
    assert identity["roles"]["editor"] == ["tickets.*"]
    published = {key["kid"] for key in identity["published"]} | {identity["signing"]["kid"]}
    assert published == {key.kid for key in rotated.keys}
    signs_with(running, rotated.keys[0].kid)


def test_a_key_rotated_just_before_a_reload_signs_without_another(running: RunningSite) -> None:
    production = ("--profile", "production")
    site = loaded(running)
    pids = running.pids("hello")
    rotated = rotate_ring(keys_dir(site), EDGE, SystemClock().unix_s())
    running.run(*production, "reload")

    signs_with(running, rotated.keys[0].kid)

    assert running.pids("hello") == pids


def signs_with(running: RunningSite, kid: str) -> None:
    """Wait until the snapshot says that the edge signs with this key."""
    snapshot = loaded(running).run_dir / "snapshot.json"
    deadline = time.monotonic() + SIGNS_S_MAX
    while json.loads(snapshot.read_text())["identity"]["signing"]["kid"] != kid:
        assert time.monotonic() < deadline, "the new key never signed"
        time.sleep(0.1)
