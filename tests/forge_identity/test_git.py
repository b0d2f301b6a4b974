"""Git through the whole site: clone for everybody, push with a token, and never with a dead one."""

from __future__ import annotations

import base64
import os

import pytest
from mergepoint_testkit.people import log_out
from mergepoint_testkit.visitor import Visitor

from .waiting import within

LARGE_BYTES = 24 << 20
GROWTH_BYTES_MAX = 48 << 20
REVOKED_S_MAX = 1.0
"""The promise: an edge reads the feed every half second."""


def rss_bytes(forge) -> int:  # type: ignore[no-untyped-def]
    status = forge.status()
    return int(status["edge"]["rss_bytes"]) + sum(
        int(slot["rss_bytes"]) for slot in status["apps"]["code"]["slots"]
    )


def test_anybody_clones_a_forge_that_is_open_to_readers(desk) -> None:  # type: ignore[no-untyped-def]
    desk.git("clone", "-q", desk.url(), "copy")

    assert (desk.place / "copy" / "README.md").exists()


def status(visitor: Visitor, token: str, service: str = "git-upload-pack") -> int:
    """Ask what Git asks first, with the token at once: Git itself waits until it is refused."""
    basic = base64.b64encode(f"__token__:{token}".encode()).decode()
    proof = {"Authorization": f"Basic {basic}"} if token else {}
    address = f"/code/orchard.git/info/refs?service={service}"
    return visitor.request("GET", address, headers=proof).status


@pytest.mark.parametrize("roles", [(), ("reader",)], ids=["no role", "reader"])
def test_a_push_is_for_those_who_may(desk, make, people, roles: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    somebody = make(*roles)
    _, token = people.token(somebody)
    desk.git("clone", "-q", desk.url(), "copy")
    desk.commit("copy", "not-mine.txt")

    code, said = desk.run("push", desk.url(token), "HEAD:refs/heads/not-mine", at="copy")

    assert code != 0
    assert f"{somebody.user} may not push: that needs the permission code.push" in said
    assert desk.tip("not-mine") == ""


def test_a_push_without_a_token_is_asked_for_one(desk) -> None:  # type: ignore[no-untyped-def]
    desk.git("clone", "-q", desk.url(), "copy")
    desk.commit("copy", "nobodys.txt")

    code, said = desk.run("push", "origin", "HEAD:refs/heads/nobodys", at="copy")

    assert code != 0
    assert "Authentication failed" in said or "could not read Username" in said
    assert desk.tip("nobodys") == ""


@pytest.mark.parametrize("user", ["__token__", ""])
def test_a_token_pushes_under_the_name_of_its_owner(  # type: ignore[no-untyped-def]
    desk, make, people, forge, browse, user: str
) -> None:
    somebody = make("developer")
    _, token = people.token(somebody)
    url = desk.url(token, user or somebody.user)
    branch = f"by-{somebody.user}"
    desk.git("clone", "-q", url, "copy")
    sha = desk.commit("copy", f"{branch}.txt")

    desk.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}", at="copy")

    assert desk.tip(branch) == sha
    data = forge.directory / ".mergepoint" / "forge" / "repositories" / "orchard.git"
    pusher = desk.git("-C", str(data), "log", "-g", "-1", "--format=%gn", branch)
    assert pusher == somebody.user
    assert f"Add {branch}.txt" in browse().get(f"/code/orchard/log/{branch}").text


def test_a_service_pushes_with_its_token(desk, people) -> None:  # type: ignore[no-untyped-def]
    _, token = people.token(people.add_service("builder", "developer"))
    desk.git("clone", "-q", desk.url(token), "copy")
    sha = desk.commit("copy", "built.txt")

    desk.git("push", "-q", "origin", "HEAD:refs/heads/built", at="copy")

    assert desk.tip("built") == sha


def test_a_token_for_reading_alone_does_not_push(desk, make, people) -> None:  # type: ignore[no-untyped-def]
    _, token = people.token(make("developer"), scopes=["code.read"])
    desk.git("clone", "-q", desk.url(token), "copy")
    desk.commit("copy", "narrow.txt")

    code, said = desk.run("push", "origin", "HEAD:refs/heads/narrow", at="copy")

    assert code != 0
    assert "needs the permission code.push" in said


def test_a_revoked_token_is_refused_within_a_second(desk, make, people, browse) -> None:  # type: ignore[no-untyped-def]
    token_id, token = people.token(make("developer"))
    desk.git("clone", "-q", desk.url(token), "copy")
    desk.commit("copy", "late.txt")
    desk.git("push", "-q", "origin", "HEAD:refs/heads/in-time", at="copy")

    assert status(browse(), token) == 200  # the edge knows it by now and asks nobody
    people.revoke(token_id)

    took_s = within(lambda: status(browse(), token) == 401)
    code, _ = desk.run("push", "origin", "HEAD:refs/heads/too-late", at="copy")
    assert code != 0
    assert desk.tip("too-late") == ""
    # A machine with other work to do gets four times the promise.
    assert took_s < 4 * REVOKED_S_MAX


def test_a_wrong_token_is_refused_even_where_everybody_may_read(make, people, browse) -> None:  # type: ignore[no-untyped-def]
    _, token = people.token(make("developer"))

    assert status(browse(), token) == 200
    assert status(browse(), token[:-4] + "AAAA") == 401
    assert status(browse(), "") == 200


def test_logging_out_leaves_tokens_alone(make, people, browse) -> None:  # type: ignore[no-untyped-def]
    somebody = make("developer")
    _, token = people.token(somebody)
    log_out(browse(somebody))

    assert status(browse(), token, "git-receive-pack") == 200


def test_a_large_push_and_clone_are_streamed(desk, make, people, forge) -> None:  # type: ignore[no-untyped-def]
    _, token = people.token(make("developer"))
    desk.git("clone", "-q", desk.url(token), "copy")
    before = rss_bytes(forge)
    sha = desk.commit("copy", "large.bin", os.urandom(LARGE_BYTES))

    # Beyond a megabyte Git sends the pack in chunks, without saying how long it is.
    desk.git("push", "-q", "origin", "HEAD:refs/heads/large", at="copy")
    desk.git("clone", "-q", "-b", "large", desk.url(), "again")

    assert desk.git("rev-parse", "HEAD", at="again") == sha
    assert (desk.place / "again" / "large.bin").stat().st_size == LARGE_BYTES
    assert rss_bytes(forge) - before < GROWTH_BYTES_MAX
