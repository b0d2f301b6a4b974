"""Git over HTTP: real Git clones and pushes; who may not is told why and changes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .conftest import served

PUSHERS = 3
RUNNING_MAX = 3
LARGE_BYTES = 24 << 20
GIT_S_MAX = 120


@dataclass(slots=True)
class Desk:
    """A place to type Git commands at; `ports` has one for each person."""

    place: Path
    repositories: Path
    ports: dict[str, int]

    def url(self, repository: str = "plain.git", user: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[user]}/x/{repository}"

    def git(
        self, *arguments: str, at: str = ".", check: bool = True, trace: bool = False
    ) -> tuple[int, str]:
        """Run Git and return its exit code and everything it said, with `trace` what it sent."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.place / at,
            env=environment(self.place) | ({"GIT_TRACE_CURL": "1"} if trace else {}),
            capture_output=True,
            timeout=GIT_S_MAX,
            check=False,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        assert not check or done.returncode == 0, said
        return done.returncode, said

    def clone(self, user: str = "", to: str = "copy", repository: str = "plain.git") -> str:
        self.git("clone", "-q", self.url(repository, user), to)
        return to

    def commit(self, at: str, name: str, text: str = "text\n") -> str:
        (self.place / at / name).write_text(text)
        self.git("add", name, at=at)
        self.git("commit", "-q", "-m", f"Add {name}", at=at)
        return self.git("rev-parse", "HEAD", at=at)[1]

    def stored(self, *arguments: str, repository: str = "plain.git") -> str:
        return self.git("-C", str(self.repositories / repository), *arguments)[1]


def environment(home: Path) -> dict[str, str]:
    who = {f"GIT_{role}_NAME": "Writer" for role in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{role}_EMAIL": "writer@example.org" for role in ("AUTHOR", "COMMITTER")}
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/true"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **who, **quiet}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Lend a desk beside a server with a bare repository of one commit, and a working copy."""
    made = Desk(tmp_path / "desk", tmp_path / "data" / "repositories", {})
    made.place.mkdir()
    made.repositories.mkdir(parents=True)
    for name in ("plain", "work"):
        made.git("init", "-q", "-b", "main", name)
        made.commit(name, "README.md", "# Plain\n")
    made.git("clone", "-q", "--bare", "plain", str(made.repositories / "plain.git"))
    made.git("init", "-q", "--bare", "-b", "main", str(made.repositories / "empty.git"))
    (made.repositories / "work").symlink_to(made.place / "work")
    with ExitStack() as running:
        made.ports = running.enter_context(served("code", tmp_path / "data", "/x"))
        yield made


@pytest.mark.parametrize("repository", ["plain", "plain.git", "work"])
@pytest.mark.parametrize("version", ["0", "2"])
def test_anybody_the_door_lets_in_clones(desk: Desk, repository: str, version: str) -> None:
    desk.git("-c", f"protocol.version={version}", "clone", "-q", desk.url(repository), "copy")

    assert (desk.place / "copy" / "README.md").read_text() == "# Plain\n"


def test_a_push_is_taken_shown_and_recorded_with_its_pusher(desk: Desk) -> None:
    at = desk.clone("tester")
    sha = desk.commit(at, "new.txt")
    desk.git("push", "-q", "origin", "main", "main:refs/heads/topic/one", at=at)

    assert desk.stored("rev-parse", "main") == sha
    reflog = desk.stored("log", "-g", "-1", "--format=%gn <%ge> %gs", "main")
    assert reflog == "tester <tester@example.org> push"
    page = HTTPConnection("127.0.0.1", desk.ports[""])
    page.request("GET", "/x/plain/log")
    assert b"Add new.txt" in page.getresponse().read()
    page.close()


def test_the_first_push_fills_an_empty_repository(desk: Desk) -> None:
    at = desk.clone("tester", repository="empty")
    sha = desk.commit(at, "first.txt")
    desk.git("push", "-q", "origin", "HEAD:main", at=at)

    assert desk.stored("rev-parse", "main", repository="empty.git") == sha


@pytest.mark.parametrize(
    ("user", "repository", "says"),
    [
        ("", "plain", "could not read Username"),
        ("reader", "plain", "reader may not push: that needs the permission code.push"),
        ("tester", "work", "work is somebody's working copy here; it takes no pushes"),
        ("tester", "nothing", "There is no repository called nothing"),
    ],
)
def test_a_push_that_is_not_allowed_is_refused_in_words(
    desk: Desk, user: str, repository: str, says: str
) -> None:
    at = desk.clone()
    before = desk.stored("for-each-ref"), desk.stored("for-each-ref", repository="work")
    desk.commit(at, "new.txt")

    code, said = desk.git("push", desk.url(repository, user), "main", at=at, check=False)

    assert code != 0
    # Git without a terminal cannot ask for the token; that it wants to is what counts.
    assert says in said or (not user and "Authentication failed" in said), said
    after = desk.stored("for-each-ref"), desk.stored("for-each-ref", repository="work")
    assert after == before


def test_the_pack_itself_is_refused_too_not_only_the_question_before_it(desk: Desk) -> None:
    kind = {"Content-Type": "application/x-git-receive-pack-request"}
    for user, status in (("", 401), ("reader", 403)):
        connection = HTTPConnection("127.0.0.1", desk.ports[user])
        connection.request("POST", "/x/plain.git/git-receive-pack", b"0000", kind)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == status, body
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/x/plain.git/info/refs", 403),
        ("GET", "/x/plain.git/info/refs?service=git-upload-archive", 403),
        ("GET", "/x/nothing.git/info/refs?service=git-upload-pack", 404),
        ("POST", "/x/nothing.git/git-upload-pack", 404),
        ("GET", "/x/plain.git/git-upload-pack", 404),
        ("GET", "/x/plain.git/objects/info/packs", 404),
        ("GET", "/x/plain.git/HEAD", 404),
        ("GET", "/x/..%2fplain.git/info/refs?service=git-upload-pack", 404),
        ("POST", "/x/plain.git/git-upload-pack", 415),
    ],
)
def test_what_is_not_the_smart_protocol_is_refused(
    desk: Desk, method: str, address: str, status: int
) -> None:
    connection = HTTPConnection("127.0.0.1", desk.ports["tester"])
    connection.request(method, address, b"" if method == "POST" else None)
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert answer.status == status


def test_a_name_in_a_header_makes_nobody_a_pusher(desk: Desk) -> None:
    connection = HTTPConnection("127.0.0.1", desk.ports[""])
    told = {"Remote-User": "admin", "REMOTE_USER": "admin", "Mergepoint-Identity": "e30.e30.e30"}
    connection.request("GET", "/x/plain/info/refs?service=git-receive-pack", headers=told)
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert answer.status == 401


def test_of_many_pushes_to_one_branch_exactly_one_wins_and_nothing_breaks(desk: Desk) -> None:
    copies = [desk.clone("tester", f"copy{n}") for n in range(PUSHERS)]
    shas = [desk.commit(at, f"from-{at}.txt") for at in copies]

    def push(at: str) -> int:
        return desk.git("push", "-q", "origin", "main", at=at, check=False)[0]

    with ThreadPoolExecutor(PUSHERS) as pool:
        codes = list(pool.map(push, copies))

    assert codes.count(0) == 1
    assert desk.stored("rev-parse", "main") == shas[codes.index(0)]
    assert desk.stored("fsck", "--strict", "--no-dangling") == ""


def test_many_pushes_to_branches_of_their_own_all_arrive(desk: Desk) -> None:
    copies = [desk.clone("tester", f"copy{n}") for n in range(PUSHERS)]
    shas = {at: desk.commit(at, f"from-{at}.txt") for at in copies}

    def push(at: str) -> int:
        return desk.git("push", "-q", "origin", f"main:{at}", at=at, check=False)[0]

    with ThreadPoolExecutor(PUSHERS) as pool:
        codes = list(pool.map(push, copies))

    assert codes == [0] * PUSHERS
    assert {at: desk.stored("rev-parse", at) for at in copies} == shas


def test_a_large_push_and_clone_pass_through_without_being_held(desk: Desk) -> None:
    at = desk.clone("tester")
    (desk.place / at / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
    desk.git("add", ".", at=at)
    desk.git("commit", "-q", "-m", "Large", at=at)
    # The server of this test knows no chunked bodies; the site's edge does.
    desk.git("-c", f"http.postBuffer={2 * LARGE_BYTES}", "push", "-q", "origin", "main", at=at)
    desk.clone(to="again")

    assert (desk.place / "again" / "large.bin").stat().st_size == LARGE_BYTES


def test_a_fetch_that_git_compresses_is_understood(desk: Desk) -> None:
    at = desk.clone("tester")
    desk.git("push", "-q", "origin", "main:refs/heads/topic", at=at)
    other = desk.clone("tester", "other")
    sha = desk.commit(at, "new.txt")
    desk.git("push", "-q", "origin", "main", at=at)
    for number in range(80):
        desk.git("commit", "-q", "--allow-empty", "-m", f"Own {number}", at=other)

    # What the two have in common is asked for in a long list, which Git sends compressed.
    _, said = desk.git("-c", "http.postBuffer=1m", "fetch", "origin", at=other, trace=True)

    assert "content-encoding: gzip" in said.lower()
    assert desk.git("rev-parse", "origin/main", at=other)[1] == sha


def test_pushes_that_break_off_change_nothing_and_keep_no_place_from_others(desk: Desk) -> None:
    before = desk.stored("for-each-ref")
    head = (
        "POST /x/plain.git/git-receive-pack HTTP/1.1\r\nHost: a\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 100000\r\n\r\n"
    )
    for _ in range(RUNNING_MAX + 1):
        with socket.create_connection(("127.0.0.1", desk.ports["tester"]), GIT_S_MAX) as broken:
            broken.sendall(head.encode() + b"00")
            broken.shutdown(socket.SHUT_WR)
            assert b" 400 " in broken.makefile("rb").readline()

    assert desk.stored("for-each-ref") == before
    at = desk.clone("tester")
    desk.commit(at, "after.txt")
    desk.git("push", "-q", "origin", "main:after", at=at)


def test_without_git_on_the_machine_pages_go_on_and_a_clone_is_told(  # type: ignore[no-untyped-def]
    serve_empty, prepared: Path, tmp_path: Path
) -> None:
    visitor = serve_empty("code", prepared, PATH=str(tmp_path))

    for _ in range(RUNNING_MAX + 1):
        answer = visitor.get("/orchard.git/info/refs?service=git-upload-pack")
        assert (answer.status, answer.headers["Content-Type"][:10]) == (500, "text/plain")
    assert visitor.get("/orchard").status == 200
