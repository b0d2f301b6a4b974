"""Compression through the real edge, judged by decoders that are not ours.

Place:  curl, zlib -> edge -> workers, files
Rule:   what arrives decoded is what was sent, and nothing waits for more.
"""

from __future__ import annotations

import socket
import subprocess
import zlib
from pathlib import Path

import pytest
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.snapshots import pool

from .conftest import ask, static, whole

PAGE = b"".join(b"<p>row %d</p>\n" % number for number in range(4000))
ON = {"enabled": True, "bytes_min": 1024}


@pytest.fixture
def edge(start, worker) -> EdgeProcess:
    address = worker(whole(PAGE, "text/html", 'ETag: "v1"', "Accept-Ranges: bytes"))
    return start({"app": pool(address, compress=True)}, compression=ON)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_page_is_smaller_on_the_wire_and_the_same_when_read(edge, encoding: str) -> None:
    packed = ask(edge, "/", {"Accept-Encoding": encoding})

    assert packed.headers["content-encoding"] == encoding
    assert packed.headers["etag"] == 'W/"v1"'
    assert packed.headers["vary"].lower() == "accept-encoding"
    assert "content-length" not in packed.headers
    assert "accept-ranges" not in packed.headers
    assert len(packed.body) < len(PAGE) / 4
    argv = ["curl", "-sS", "-H", f"Accept-Encoding: {encoding}", "--compressed", edge.url()]
    read = subprocess.run(argv, capture_output=True, check=True, timeout=20)
    assert read.stdout == PAGE


def test_a_client_that_takes_nothing_gets_the_page_as_it_is(edge: EdgeProcess) -> None:
    plain = ask(edge, "/")

    assert (plain.body, plain.headers["etag"]) == (PAGE, '"v1"')
    assert plain.headers["content-length"] == str(len(PAGE))
    assert plain.headers["vary"].lower() == "accept-encoding"


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("image/png", ()),
        ("text/html", ("Cache-Control: no-transform",)),
        ("text/html", ("Content-Encoding: gzip",)),
        ("text/event-stream", ()),
    ],
)
def test_what_must_not_be_compressed_is_not(start, worker, kind: str, extra) -> None:
    edge = start({"app": pool(worker(whole(PAGE, kind, *extra)), compress=True)}, compression=ON)

    answer = ask(edge, "/", {"Accept-Encoding": "br, zstd"})

    assert answer.body == PAGE
    assert answer.headers.get("content-encoding", "gzip") == "gzip"


def test_an_app_and_a_site_can_switch_it_off(start, worker, directory: Path) -> None:
    address = worker(whole(PAGE))
    apps = {"quiet": pool(address, compress=False), "loud": pool(address, compress=True)}
    routes = {"/quiet": "quiet", "/loud": "loud"}
    edge = start(apps, routes=routes, compression=ON)

    assert "content-encoding" not in ask(edge, "/quiet", {"Accept-Encoding": "gzip"}).headers
    assert "content-encoding" in ask(edge, "/loud", {"Accept-Encoding": "gzip"}).headers


def test_a_streamed_page_is_readable_as_far_as_it_was_written(start, worker) -> None:
    def behave(link: socket.socket, head: bytes) -> None:
        del head
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
        link.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        for letter in b"abc":
            link.sendall(b"4\r\n<%c>\n\r\n" % letter)
            turns.recv(1)
        link.sendall(b"0\r\n\r\n")

    turns, theirs = socket.socketpair()
    edge = start({"app": pool(worker(behave), compress=True)}, compression=ON)
    unpack = zlib.decompressobj(wbits=31)
    text = b""
    with socket.create_connection(("127.0.0.1", edge.port()), timeout=10) as client, theirs:
        client.sendall(b"GET / HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += client.recv(4096)
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head.lower()
        text += unpack.decompress(body)
        for wanted in (b"<a>\n", b"<a>\n<b>\n", b"<a>\n<b>\n<c>\n"):
            while len(text) < len(wanted):
                text += unpack.decompress(client.recv(4096))
            assert text == wanted
            theirs.sendall(b".")
        while data := client.recv(4096):
            text += unpack.decompress(data)

    assert (text, unpack.eof) == (b"<a>\n<b>\n<c>\n", True)


def test_a_worker_that_breaks_off_is_not_mistaken_for_a_whole_page(start, worker) -> None:
    def behave(link: socket.socket, head: bytes) -> None:
        del head
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n")
        link.sendall(b"x" * 5000)
        link.shutdown(socket.SHUT_RDWR)

    edge = start({"app": pool(worker(behave), compress=True)}, compression=ON)
    argv = ["curl", "-sS", "--compressed", "-o", "/dev/null", edge.url()]

    done = subprocess.run(argv, capture_output=True, check=False, timeout=20)

    assert done.returncode != 0


def test_files_without_a_sibling_are_compressed_on_the_way(start, directory: Path) -> None:
    (directory / "public").mkdir()
    (directory / "public" / "page.html").write_bytes(PAGE)
    edge = start({"files": static(directory / "public")}, compression=ON)

    packed = ask(edge, "/page.html", {"Accept-Encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["etag"].startswith('W/"')
    assert zlib.decompress(packed.body, wbits=31) == PAGE
    tag = packed.headers["etag"]
    again = ask(edge, "/page.html", {"Accept-Encoding": "gzip", "If-None-Match": tag})
    assert again.status == 304
    part = ask(edge, "/page.html", {"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (part.status, part.body) == (206, PAGE[:10])
