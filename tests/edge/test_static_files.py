"""Files through the real edge: mounts, ranges, conditions, siblings, and what is not served.

Place:  raw clients -> edge -> a directory
Rule:   what is asked is sent as it is; no client library tidies a path.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.raw import exchange

from .conftest import ask, static

MIB = 1 << 20


@pytest.fixture
def root(directory: Path) -> Path:
    """A small tree with all that a real one has."""
    tree = directory / "public"
    (tree / "docs").mkdir(parents=True)
    (tree / "docs" / "index.html").write_text("<!doctype html><p>docs")
    (tree / "index.html").write_text("<!doctype html><p>home")
    (tree / "digits.txt").write_text("0123456789")
    (tree / "site.js").write_text("let plain = 1;\n" * 200)
    (tree / "site.js.gz").write_bytes(b"as gz")
    (tree / ".env").write_text("SECRET=1")
    (directory / "outside.txt").write_text("from outside the root")
    (tree / "link.txt").symlink_to("../outside.txt")
    os.mkfifo(tree / "pipe")
    return tree


@pytest.fixture
def edge(start, root: Path) -> EdgeProcess:
    return start({"files": static(root)}, routes={"/": "files", "/deep/mount": "files"})


def test_files_are_found_under_every_mount(edge: EdgeProcess) -> None:
    for mount in ("", "/deep/mount"):
        answer = ask(edge, f"{mount}/digits.txt")
        assert (answer.status, answer.body) == (200, b"0123456789")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "public, max-age=60"
        assert ask(edge, f"{mount}/docs/").body.endswith(b"docs")


def test_a_directory_without_its_slash_is_sent_to_itself_under_its_mount(edge) -> None:
    for path, location in (
        ("/docs", "/docs/"),
        ("/deep/mount/docs?a=1", "/deep/mount/docs/?a=1"),
        ("/deep/mount", "/deep/mount/"),
    ):
        answer = ask(edge, path)
        assert (answer.status, answer.headers["location"]) == (308, location)


@pytest.mark.parametrize(
    "target",
    [
        "/.env",
        "/../outside.txt",
        "/docs/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "/%252e%252e/outside.txt",
        "/link.txt",
        "/pipe",
        "/digits.txt%00.html",
        "/digits.txt/",
        "//etc/passwd",
        "/docs//../..//outside.txt",
        "/%c0%ae%c0%ae/outside.txt",
        "/" + "x" * 300,
    ],
)
def test_nothing_hidden_special_or_outside_is_served(edge: EdgeProcess, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()

    answer = exchange(edge.port(), request)

    assert answer.statuses[0] in (400, 404)
    assert b"from outside the root" not in answer.raw
    assert b"SECRET" not in answer.raw


def test_parts_of_a_file_by_curl_and_by_hand(edge: EdgeProcess) -> None:
    one = ask(edge, "/digits.txt", {"Range": "bytes=2-4"})
    assert (one.status, one.body, one.headers["content-range"]) == (206, b"234", "bytes 2-4/10")

    several = ask(edge, "/digits.txt", {"Range": "bytes=0-0,-1"})
    boundary = several.headers["content-type"].removeprefix("multipart/byteranges; boundary=")
    parts = several.body.split(f"--{boundary}".encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:3]] == [b"0\r\n", b"9\r\n"]

    beyond = ask(edge, "/digits.txt", {"Range": "bytes=10-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */10")


def test_a_broken_download_is_resumed(edge: EdgeProcess, root: Path, directory: Path) -> None:
    content = os.urandom(2 * MIB)
    (root / "big.bin").write_bytes(content)
    half = directory / "half.bin"
    half.write_bytes(content[:MIB])

    argv = ["curl", "-sS", "-C", "-", "-o", str(half), edge.url("/big.bin")]
    subprocess.run(argv, check=True, timeout=30)

    assert half.read_bytes() == content


def test_an_unchanged_file_costs_no_body(edge: EdgeProcess) -> None:
    first = ask(edge, "/digits.txt")
    for name, value in (
        ("If-None-Match", first.headers["etag"]),
        ("If-None-Match", f'"other", W/{first.headers["etag"]}'),
        ("If-Modified-Since", first.headers["last-modified"]),
    ):
        again = ask(edge, "/digits.txt", {name: value})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert ask(edge, "/digits.txt", {"If-Match": '"other"'}).status == 412


def test_a_precompressed_sibling_is_sent_to_who_can_read_it(edge: EdgeProcess) -> None:
    packed = ask(edge, "/site.js", {"Accept-Encoding": "gzip"})
    plain = ask(edge, "/site.js")

    assert (packed.body, packed.headers["content-encoding"]) == (b"as gz", "gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert packed.headers["etag"] != plain.headers["etag"]


def test_files_are_only_read(edge: EdgeProcess) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = ask(edge, "/digits.txt", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    head = ask(edge, "/digits.txt", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")


def test_the_fallback_page_answers_for_addresses_an_app_in_the_browser_knows(start, root) -> None:
    edge = start({"spa": static(root, fallback="index.html")})

    assert ask(edge, "/users/7", {"Accept": "text/html"}).body.endswith(b"home")
    assert ask(edge, "/missing.js", {"Accept": "*/*"}).status == 404


def test_a_file_that_shrinks_while_it_is_sent_does_not_end_as_if_whole(edge, root) -> None:
    big = root / "big.bin"
    big.write_bytes(b"x" * (64 * MIB))
    with socket.create_connection(("127.0.0.1", edge.port()), timeout=10) as client:
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        received = len(client.recv(65536))
        os.truncate(big, MIB)
        while data := _read(client):
            received += len(data)

    assert received < 64 * MIB


def _read(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 20)
    except ConnectionError:
        return b""


def test_many_slow_readers_of_a_large_file_cost_little_memory(edge: EdgeProcess, root) -> None:
    (root / "big.bin").write_bytes(b"x" * (64 * MIB))
    assert edge.process is not None
    process = psutil.Process(edge.process.pid)
    before = process.memory_info().rss
    links = []
    for _ in range(40):
        link = socket.create_connection(("127.0.0.1", edge.port()), timeout=10)
        link.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert link.recv(1024).startswith(b"HTTP/1.1 200")
        links.append(link)

    # Whole bodies would be 2,560 MiB; an allocator may keep a few MiB for each reader.
    assert process.memory_info().rss - before < 40 * 4 * MIB
    for link in links:
        link.close()


def test_a_large_file_arrives_whole_by_several_clients_at_once(edge: EdgeProcess, root) -> None:
    content = os.urandom(8 * MIB)
    (root / "big.bin").write_bytes(content)
    wanted = hashlib.sha256(content).hexdigest()
    seen: list[str] = []

    def fetch() -> None:
        seen.append(hashlib.sha256(ask(edge, "/big.bin").body).hexdigest())

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert seen == [wanted] * 4
