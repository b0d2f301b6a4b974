"""Mercurial and Subversion with API tokens: the same people and rights, no users of their own."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.people import People, Somebody
from mergepoint_testkit.sites import RunningSite

from .waiting import assert_soon

pytestmark = pytest.mark.real

CLIENT_S_MAX = 120
QUIET = {"HGRCPATH": "", "HGPLAIN": "1", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Client:
    """One version control program at somebody's desk."""

    place: Path
    program: tuple[str, ...]

    def run(self, *arguments: str, at: str = ".") -> tuple[int, str]:
        """Run it and return its exit code and what it said."""
        done = subprocess.run(
            [*self.program, *arguments], cwd=self.place / at, check=False,
            env={**os.environ, **QUIET, "HOME": str(self.place)},
            capture_output=True, text=True, timeout=CLIENT_S_MAX,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def must(self, *arguments: str, at: str = ".") -> str:
        """Run it, which must succeed."""
        code, said = self.run(*arguments, at=at)
        assert code == 0, said
        return said


@pytest.fixture
def hg(tmp_path: Path) -> Client:
    return Client(tmp_path, (str(environment("hgweb") / "bin" / "hg"), "--noninteractive"))


@pytest.fixture
def svn(tmp_path: Path) -> Client:
    quiet = ("--non-interactive", "--no-auth-cache", "--config-dir", str(tmp_path / "config"))
    return Client(tmp_path, ("svn", *quiet))


@pytest.fixture(scope="module")
def dora(people: People) -> Somebody:
    """Somebody who may push."""
    return people.add("dora", "developer", name="Dora")


def hg_url(site: RunningSite, user: str = "", token: str = "") -> str:
    proof = f"{user}:{token}@" if user else ""
    return f"http://{proof}127.0.0.1:{site.port}/hg/project"


def test_mercurial_clones_with_a_token_and_with_nothing_else(
    site: RunningSite, people: People, bob: Somebody, hg: Client
) -> None:
    _, token = people.token(bob)
    hg.must("clone", "-q", hg_url(site, "bob", token), "copy")

    assert (hg.place / "copy/hello.py").read_text() == 'print("Say hello")\n'
    for url in (hg_url(site), hg_url(site, "bob", token[:-4] + "AAAA")):
        code, said = hg.run("clone", "-q", url, "none")
        assert code != 0 and "authorization" in said, said
        assert not (hg.place / "none/hello.py").exists()


def test_mercurial_pushes_for_those_who_may_and_knows_who_it_was(
    site: RunningSite, people: People, bob: Somebody, dora: Somebody, hg: Client
) -> None:
    urls = {one.user: hg_url(site, one.user, people.token(one)[1]) for one in (bob, dora)}
    hg.must("clone", "-q", urls["dora"], "copy")
    (hg.place / "copy/new.py").write_text("pass\n")
    hg.must("commit", "-q", "-A", "-u", "Dora", "-m", "Add new", at="copy")

    refused, said = hg.run("push", urls["bob"], at="copy")
    assert refused != 0 and "403" in said, said
    hg.must("push", urls["dora"], at="copy")

    log = hg.must(
        "log", "-r", "tip", "-T", "{desc}", "-R", str(site.directory / "mercurial/project")
    )
    assert log == "Add new"
    pushed = (site.directory / "mercurial/project/pushed.log").read_text().split()
    assert [line.rpartition(":")[2] for line in pushed] == ["dora"]


def svn_url(site: RunningSite) -> str:
    return f"http://127.0.0.1:{site.port}/subversion/project"


def as_(user: str, token: str) -> tuple[str, ...]:
    return ("--username", user, "--password", token)


def test_subversion_commits_in_the_name_of_the_owner_of_the_token(
    site: RunningSite, people: People, bob: Somebody, dora: Somebody, svn: Client
) -> None:
    proof = as_("dora", people.token(dora)[1])
    url = svn_url(site)
    svn.must("mkdir", "-q", "-m", "Begin", f"{url}/trunk", *proof)
    svn.must("checkout", "-q", f"{url}/trunk", "copy", *proof)
    for name in ("one.txt", "two words ü.txt"):
        (svn.place / "copy" / name).write_text(name)
    svn.must("add", "-q", "one.txt", "two words ü.txt", at="copy")
    svn.must("commit", "-q", "-m", "Add files", *proof, at="copy")
    svn.must("copy", "-q", "-m", "Branch", f"{url}/trunk", f"{url}/branch", *proof)
    svn.must("update", "-q", *proof, at="copy")
    svn.must("move", "-q", "one.txt", "moved.txt", at="copy")
    svn.must("commit", "-q", "-m", "Move", *proof, at="copy")

    log = svn.must("log", "-q", url, *as_("bob", people.token(bob)[1]))
    assert re.findall(r"^r(\d+) \| (\w+) \|", log, re.M) == [
        (str(number), "dora") for number in (4, 3, 2, 1)
    ]
    svn.must("checkout", "-q", f"{url}/trunk", "again", *as_("bob", people.token(bob)[1]))
    names = {one.name for one in (svn.place / "again").iterdir()} - {".svn"}
    assert names == {"moved.txt", "two words ü.txt"}


def test_subversion_knows_nobody_without_a_token_and_refuses_who_may_not(
    site: RunningSite, people: People, bob: Somebody, svn: Client
) -> None:
    token = people.token(bob)[1]
    for proof in ((), as_("bob", "wrong"), as_("bob", bob.password), as_("dora", token)):
        code, said = svn.run("list", svn_url(site), *proof)
        assert code != 0 and "Authentication failed" in said, said
    code, said = svn.run("mkdir", "-m", "Mine", f"{svn_url(site)}/mine", *as_("bob", token))
    assert code != 0 and ("403" in said or "forbidden" in said.lower()), said
    svn.must("list", svn_url(site), *as_("__token__", token))


def test_a_revoked_token_neither_pulls_nor_commits(
    site: RunningSite, people: People, dora: Somebody, hg: Client, svn: Client
) -> None:
    token_id, token = people.token(dora)
    hg.must("identify", hg_url(site, "dora", token))
    svn.must("list", svn_url(site), *as_("dora", token))
    people.revoke(token_id)

    assert_soon(lambda: svn.run("list", svn_url(site), *as_("dora", token))[0] != 0, 60)
    assert hg.run("identify", hg_url(site, "dora", token))[0] != 0
