"""The code browser: real repositories, odd ones included, within bounds."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from mergepoint_testkit.visitor import Visitor

ODD_NAMES = [
    b"with space.txt",
    b"hash#and?query.txt",
    b"percent%41.txt",
    "umlaut-ä.txt".encode(),
    b"latin-\xe4.txt",
    b"quote'\"<b>.txt",
    b"new\nline.txt",
]


def git(place: Path, *arguments: str) -> str:
    kept = {"PATH": os.environ["PATH"], "HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (
            ("NAME", "<b>tester</b>"),
            ("EMAIL", "tester@example.org"),
            ("DATE", "2026-01-02T03:04:05+00:00"),
        )
    }
    done = subprocess.run(
        ["git", "-C", str(place), *arguments],
        env={**kept, **who},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with the repositories nobody hopes for."""
    data = tmp_path_factory.mktemp("odd")
    repositories = data / "repositories"
    for name in ("odd", "empty"):
        (repositories / name).mkdir(parents=True)
        git(repositories / name, "init", "-q", "-b", "main")
    (repositories / "broken").mkdir()
    (repositories / "gone").symlink_to(data / "nowhere")
    fill(repositories / "odd")
    return data


def fill(place: Path) -> None:
    for name in ODD_NAMES:
        (Path(os.fsdecode(bytes(place) + b"/" + name))).write_text(f"in {name!r}\n")
    (place / "binary.bin").write_bytes(b"\0\1\2" * 100)
    (place / "huge.txt").write_text("a line of text\n" * 100_000)
    (place / "long.txt").write_text("x" * 300_000 + "\n")
    (place / "page.html").write_text("<script>alert(1)</script>\n")
    (place / "picture.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    )
    (place / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (place / "link").symlink_to("/etc/passwd")
    (place / "README.md").write_text(
        "# Odd\n\n[deep](sub/deep.py) ![dot](dot.png) [out](../../../etc/passwd)\n"
        "<script>alert(2)</script> [x](javascript:alert(3))\n"
    )
    (place / "sub").mkdir()
    (place / "sub" / "deep.py").write_text(
        "def deep():\n    '''multi\n    line'''\n    return 'x'\n"
    )
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "First <script>alert(4)</script>")
    git(place, "branch", "feature/with/slashes")
    (place / "sub" / "deep.py").write_text("def deep():\n    return 'y'\n")
    git(place, "commit", "-q", "-am", "Second\n\nbody of the second")
    git(place, "tag", "-a", "v1", "-m", "first tag")


@pytest.fixture
def browser(odd: Path, serve_empty) -> Visitor:  # type: ignore[no-untyped-def]
    made: Visitor = serve_empty("code", odd)
    return made


def test_the_list_shows_every_repository_and_why_one_cannot_be_shown(browser: Visitor) -> None:
    words = browser.get("/").document().words()

    assert "Second" in words
    assert "Nothing committed yet" in words
    assert words.count("there is no Git history at its place") == 2


def test_an_empty_directory_says_where_to_put_repositories(serve_empty, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    page = serve_empty("code", tmp_path).get("/")

    assert "No repositories yet" in page.text
    assert str(tmp_path / "repositories") in page.document().words()


@pytest.mark.parametrize("address", ["/empty", "/empty/"])
def test_an_empty_repository_is_shown_as_empty(browser: Visitor, address: str) -> None:
    page = browser.get(address)

    assert page.status == 200
    assert "Nothing has been committed yet" in page.text


@pytest.mark.parametrize(
    "address",
    [
        "/broken", "/gone", "/nothing", "/empty/log", "/empty/search", "/empty/at/main",
        "/odd/at/nope", "/odd/at/main/nope", "/odd/at/main/sub/deep.py/more", "/odd/log/nope",
        "/odd/commit/0000000", "/odd/commit/v1/path", "/odd/raw/main/sub", "/odd/nothing",
        "/odd/at/main/../../../etc/passwd", "/odd/raw/main/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc", "/%2e%2e", "/odd/at/%ff%fe", "/odd/at/main/%00",
        "/odd/archive/nope.tar.gz",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_page_that_says_so(browser: Visitor, address: str) -> None:
    page = browser.get(address)

    assert page.status == 404
    assert page.document().faults == []
    assert "root:" not in page.text


def test_files_of_any_name_can_be_opened_from_the_list(browser: Visitor) -> None:
    links = [a for a in browser.get("/odd").document().addresses("a") if "/odd/at/main/" in a]
    # The readme names two files of its own; they have their test.
    opened = {a: browser.request("GET", a) for a in links if "sub" not in a and "etc" not in a}

    assert len(opened) >= len(ODD_NAMES)
    for address, page in opened.items():
        assert page.status == 200, address
        assert page.document().faults == [], address
    shown = " ".join(page.document().words() for page in opened.values())
    for name in ODD_NAMES:
        assert f"in {name!r}" in shown


def test_raw_gives_the_bytes_and_nothing_a_browser_would_run(browser: Visitor) -> None:
    for name in ("page.html", "picture.svg", "binary.bin", "dot.png"):
        page = browser.get(f"/odd/raw/main/{name}")
        assert page.status == 200
        assert "sandbox" in page.headers["Content-Security-Policy"]
        assert page.headers["Content-Type"] in {
            "text/plain; charset=utf-8",
            "application/octet-stream",
            "image/png",
        }
    assert browser.get("/odd/raw/main/page.html").body == b"<script>alert(1)</script>\n"
    assert browser.get("/odd/raw/main/latin-%E4.txt").body.startswith(b"in b'latin-")


def test_a_symbolic_link_is_shown_and_never_followed(browser: Visitor) -> None:
    assert browser.get("/odd/raw/main/link").body == b"/etc/passwd"


def test_large_and_binary_files_are_named_instead_of_shown(browser: Visitor) -> None:
    assert "too large to show" in browser.get("/odd/at/main/huge.txt").text
    assert "binary file" in browser.get("/odd/at/main/binary.bin").text
    assert browser.get("/odd/at/main/long.txt").status == 200


def test_highlighting_keeps_every_line_whole_and_addressable(browser: Visitor) -> None:
    document = browser.get("/odd/at/feature/with/slashes/sub/deep.py").document()

    assert document.faults == []
    assert {"L1", "L4"} <= {row.get("id") for row in document.all("tr")}
    assert "#L3" in document.addresses("a")


def test_a_branch_with_slashes_and_a_tag_are_found(browser: Visitor) -> None:
    assert "multi" in browser.get("/odd/raw/feature/with/slashes/sub/deep.py").text
    assert "'y'" in browser.get("/odd/raw/v1/sub/deep.py").text
    words = browser.get("/odd/refs").document().words()
    assert "feature/with/slashes" in words
    assert "v1" in words


def test_readme_links_stay_inside_and_carry_no_code(browser: Visitor) -> None:
    document = browser.get("/odd").document()

    assert "/odd/at/main/sub/deep.py" in document.addresses("a")
    assert "/odd/raw/main/dot.png" in document.addresses("img")
    assert "/odd/at/main/etc/passwd" in document.addresses("a")
    assert [s for s in document.all("script") if "src" not in s] == []
    assert all(not a.startswith("javascript:") for a in document.addresses("a"))


def test_a_commit_shows_what_it_changed(browser: Visitor) -> None:
    page = browser.get("/odd/commit/v1")
    words = page.document().words()

    assert page.document().faults == []
    assert "body of the second" in words
    assert '<tr class="del">' in page.text
    assert "return 'y'" in words
    assert "+1" in words


def test_the_first_commit_shows_everything_as_added_within_bounds(browser: Visitor) -> None:
    first = browser.get("/odd/log").document()
    sha = [a for a in first.addresses("a") if "/odd/commit/" in a][-1]

    page = browser.request("GET", sha)

    assert page.status == 200
    assert page.document().faults == []
    assert "Too large to compare here" in page.text
    assert len(page.body) < 3_000_000


def test_history_of_a_path_names_only_its_commits(browser: Visitor) -> None:
    deep = browser.get("/odd/log/main/sub/deep.py").document().words()
    binary = browser.get("/odd/log/main/binary.bin").document().words()

    assert "Second" in deep
    assert "First" in deep
    assert "Second" not in binary


def test_history_goes_on_over_pages(serve_empty, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = tmp_path / "repositories" / "long"
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    stream = "".join(
        f"commit refs/heads/main\ncommitter t <t@e> {1_700_000_000 + n} +0000\ndata 6\nno {n:03d}\n"
        for n in range(75)
    )
    subprocess.run(
        ["git", "-C", str(place), "fast-import", "--quiet"], input=stream.encode(), check=True
    )
    visitor: Visitor = serve_empty("code", tmp_path)

    found, address = [], "/long/log"
    while address:
        document = visitor.get(address).document()
        found += [a for a in document.addresses("a") if "/commit/" in a]
        address = next((a["href"] for a in document.all("a") if a.get("rel") == "next"), "")

    assert len(found) == len(set(found)) == 75


def test_an_archive_holds_the_files_of_its_ref(browser: Visitor) -> None:
    page = browser.get("/odd/archive/feature/with/slashes.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(page.body)) as archive:
        names = archive.getnames()
        deep = archive.extractfile("odd-feature-with-slashes/sub/deep.py")
        assert deep is not None
        text = deep.read()

    assert page.headers["Content-Disposition"] == (
        'attachment; filename="odd-feature-with-slashes.tar.gz"'
    )
    assert b"multi" in text
    assert "odd-feature-with-slashes/README.md" in names


def test_search_finds_commits_names_and_lines(browser: Visitor) -> None:
    items = browser.get("/api/search?q=DEEP").json["items"]
    commits = browser.get("/api/search?q=second").json["items"]

    assert {item["url"] for item in items} >= {
        "/odd/at/main/sub/deep.py",
        "/odd/at/main/sub/deep.py#L1",
    }
    assert "Second" in {item["title"] for item in commits}
    assert browser.get("/api/search?q=").json["items"] == []
    assert "sub/deep.py:1" in browser.get("/odd/search?q=deep").document().words()


def test_the_sample_is_the_same_on_every_machine(prepared: Path) -> None:
    place = prepared / "repositories" / "orchard.git"

    assert git(place, "rev-parse", "main") == "756ed4791b416ffffe8fac324327d08aa3b19bc3"
    assert git(place, "rev-parse", "v1.0") == "f3a18659e94ae207d559f110c934c83d46b4c769"
    assert git(place, "fsck", "--strict") == ""


def test_this_checkout_is_among_the_repositories(code: Visitor) -> None:
    words = code.get("/").document().words()

    assert "mergepoint" in words
    assert "orchard" in words
