"""A hundred mebibytes through every program that streams, in bounded memory."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mergepoint_testkit.document import Document
from mergepoint_testkit.real_apps import LARGE_BYTES, PASSWORD
from mergepoint_testkit.sites import RunningSite

pytestmark = pytest.mark.real

PIECE = bytes(range(256)) * 1024
DIGEST = hashlib.sha256(PIECE * (LARGE_BYTES // len(PIECE))).hexdigest()
WORKER_GROWTH_BYTES_MAX = 48 << 20
EDGE_GROWTH_BYTES_MAX = 8 << 20


def pieces() -> Iterator[bytes]:
    for _ in range(LARGE_BYTES // len(PIECE)):
        yield PIECE


def status_bytes(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith(key)).split()[1]) << 10


class Memory:
    """Peak growth of a program's workers and of the edge while the block runs."""

    def __init__(self, site: RunningSite, app: str) -> None:
        status = site.status()
        self.workers = site.pids(app)
        self.edge = [status["edge"]["pid"]]
        self.before: dict[int, int] = {}

    def __enter__(self) -> Memory:
        for pid in self.workers + self.edge:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
            self.before[pid] = status_bytes(pid, "VmRSS")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        grown = {pid: status_bytes(pid, "VmHWM") - self.before[pid] for pid in self.before}
        print({pid: f"{size >> 20} MiB" for pid, size in grown.items()})
        assert max(grown[pid] for pid in self.workers) <= WORKER_GROWTH_BYTES_MAX, grown
        assert max(grown[pid] for pid in self.edge) <= EDGE_GROWTH_BYTES_MAX, grown


def received(client: httpx2.Client, path: str) -> int:
    """Return the size of a download, read in pieces."""
    with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        return sum(len(piece) for piece in answer.iter_raw())


@pytest.mark.parametrize("app", ["chat", "notes", "node", "go"])
def test_an_upload_is_streamed(site: RunningSite, client: httpx2.Client, app: str) -> None:
    sized = {"Content-Length": str(LARGE_BYTES)}

    with Memory(site, app):
        told = client.post(f"/{app}/upload", content=pieces(), headers=sized).json()

    assert told == {"size": LARGE_BYTES, "sha256": DIGEST}


@pytest.mark.parametrize("app", ["chat", "notes", "node", "go"])
def test_an_upload_without_a_length_arrives_whole(
    site: RunningSite, client: httpx2.Client, app: str
) -> None:
    with Memory(site, app):
        told = client.post(f"/{app}/upload", content=pieces()).json()

    assert told == {"size": LARGE_BYTES, "sha256": DIGEST}


@pytest.mark.parametrize("app", ["chat", "notes", "node", "go"])
def test_a_download_is_streamed(site: RunningSite, client: httpx2.Client, app: str) -> None:
    with Memory(site, app):
        assert received(client, f"/{app}/download?size={LARGE_BYTES}") == LARGE_BYTES


def multipart(field: str, filename: str, values: dict[str, str]) -> tuple[Iterator[bytes], dict]:
    """Return a form with one large file, in pieces, and its headers."""
    boundary = "a-boundary-of-this-test"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; '
        f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    tail = f"\r\n--{boundary}--\r\n"

    def parts() -> Iterator[bytes]:
        yield head.encode()
        yield from pieces()
        yield tail.encode()

    return parts(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + LARGE_BYTES + len(tail)),
    }


def test_pypiserver_takes_and_gives_a_large_package(
    site: RunningSite, client: httpx2.Client
) -> None:
    form = {":action": "file_upload", "name": "large", "version": "1.0"}
    body, headers = multipart("content", "large-1.0.tar.gz", form)

    with Memory(site, "packages"):
        assert client.post("/packages/", content=body, headers=headers).status_code == 200
        size = received(client, "/packages/packages/large-1.0.tar.gz")

    assert size == LARGE_BYTES


def test_djangos_admin_takes_a_large_file(site: RunningSite, client: httpx2.Client) -> None:
    first = client.get("/admin/login/")
    values = Document(first.text).forms[0].values()
    client.post("/admin/login/", data={**values, "username": "ada", "password": PASSWORD})
    page = client.get("/admin/config/document/add/")
    values = next(f for f in Document(page.text).forms if "title" in f.values()).values()
    body, headers = multipart("file", "large.bin", {**values, "title": "Large"})

    with Memory(site, "admin"):
        added = client.post("/admin/config/document/add/", content=body, headers=headers)

    assert added.status_code == 302, added.text[:500]
    assert (site.directory / "admin/media/documents/large.bin").stat().st_size == LARGE_BYTES


def test_datasette_gives_a_large_database(site: RunningSite, client: httpx2.Client) -> None:
    wanted = (site.directory / "data/large.db").stat().st_size

    with Memory(site, "data"):
        size = received(client, "/data/large.db")

    assert size == wanted > LARGE_BYTES


def test_mercurial_clones_a_large_repository(site: RunningSite, tmp_path: Path) -> None:
    hg = site.directory / "venvs/hgweb/bin/hg"
    address = f"http://127.0.0.1:{site.port}/hg/large"

    with Memory(site, "hg"):
        subprocess.run(
            [str(hg), "clone", "-q", "--stream", "--noupdate", address, "copy"],
            cwd=tmp_path, check=True, timeout=120,
        )  # fmt: skip

    stored = sum(p.stat().st_size for p in (tmp_path / "copy/.hg/store").rglob("*") if p.is_file())
    assert stored > LARGE_BYTES
