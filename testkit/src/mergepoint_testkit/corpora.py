"""Public test material written by others, fetched by pinned hash when a test asks for it.

Place:  package index, Go module proxy -> [corpora] -> conformance tests
Rule:   nothing of it is kept in the project; a wrong hash is an error, an absent network a skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
FETCH_S_MAX = 180


class CorpusUnavailable(Exception):
    """The material could not be fetched; the message says by what and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request of a corpus, as the bytes that go on the wire."""

    name: str
    payload: bytes
    valid: bool


def gunicorn_cases(tools: Path, requirements: Path) -> list[Case]:
    """Return gunicorn's request corpus, valid and invalid, from its source distribution."""
    folder = tools / "corpora" / "gunicorn"
    if not folder.is_dir():
        _fetch_source("gunicorn", requirements, folder)
    cases = []
    for kind in ("valid", "invalid"):
        for path in sorted(folder.glob(f"*/tests/requests/{kind}/*.http")):
            cases.append(Case(f"{kind}/{path.stem}", _expand(path.read_bytes()), kind == "valid"))
    if not cases:
        raise CorpusUnavailable(f"no request files under {folder}; remove it to fetch again")
    return cases


def _expand(text: bytes) -> bytes:
    r"""Turn the notation into bytes: real newlines go, ``\r\n`` and ``\xHH`` become bytes."""
    text = text.replace(b"\n", b"").replace(b"\\r", b"\r").replace(b"\\n", b"\n")
    text = text.replace(b"\\t", b"\t").replace(b"\\0", b"\0")
    out, rest = b"", text
    while b"\\x" in rest:
        head, _, tail = rest.partition(b"\\x")
        out, rest = out + head + bytes([int(tail[:2], 16)]), tail[2:]
    return out + rest


def _fetch_source(name: str, requirements: Path, folder: Path) -> None:
    """Download a source distribution by the hash in `requirements` and unpack it."""
    staging = folder.with_name(folder.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name]
    argv += ["--require-hashes", "-d", str(staging), "-r", str(requirements)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_S_MAX, check=False)
    if done.returncode != 0:
        raise CorpusUnavailable(f"pip could not fetch {name}: {done.stderr.strip()[-500:]}")
    for archive in staging.glob(f"{name}-*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(staging, filter="data")
        archive.unlink()
    staging.rename(folder)


def h2spec(tools: Path) -> Path:
    """Return the h2spec binary, built from its Go module when it is not there yet."""
    binary = tools / "bin" / "h2spec"
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise CorpusUnavailable("h2spec needs Go to be built and `go` is not on the path")
    environment = {**os.environ, "GOBIN": str(binary.parent)}
    done = subprocess.run(
        [go, "install", H2SPEC],
        env=environment,
        capture_output=True,
        text=True,
        timeout=FETCH_S_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise CorpusUnavailable(f"go could not build h2spec: {done.stderr.strip()[-500:]}")
    return binary


def python_tool(tools: Path, name: str, requirements: Path, program: str) -> Path:
    """Return a program from a wheel installed in an environment of its own."""
    folder = tools / "venvs" / name
    binary = folder / "bin" / program
    if not binary.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=60)
        argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes"]
        done = subprocess.run(
            [*argv, "-r", str(requirements)],
            capture_output=True,
            text=True,
            timeout=FETCH_S_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise CorpusUnavailable(f"pip could not install {name}: {done.stderr.strip()[-500:]}")
    return binary
