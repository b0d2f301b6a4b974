"""One edge in front of one recorder, shared by the conformance suites, and the score sheet."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit import corpora
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.recorder import Recorder
from mergepoint_testkit.services import require
from mergepoint_testkit.snapshots import pool, site

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
SCORES = ROOT / ".tools" / "conformance-scores.json"


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for socket names."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def recorder(short_directory: Path) -> Iterator[Recorder]:
    with Recorder(short_directory / "recorder.sock") as backend:
        yield backend


@pytest.fixture(scope="session")
def edge(short_directory: Path, recorder: Recorder) -> Iterator[EdgeProcess]:
    folder = short_directory / "edge"
    folder.mkdir()
    with EdgeProcess(folder) as process:
        yield process.start(site({"app": pool(recorder.address)}))


@pytest.fixture(scope="session")
def corpus() -> list[corpora.Case]:
    """Return gunicorn's requests, or skip at home when they cannot be fetched."""
    with require("gunicorn's request corpus", corpora.CorpusUnavailable):
        return corpora.gunicorn_cases(TOOLS, ROOT / "requirements" / "corpora.txt")
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def scores() -> Iterator[dict[str, object]]:
    """What the suites counted; tools/conformance_reference.py turns it into the documentation."""
    sheet: dict[str, object] = {}
    yield sheet
    if sheet:
        SCORES.parent.mkdir(exist_ok=True)
        known = json.loads(SCORES.read_text()) if SCORES.exists() else {}
        SCORES.write_text(json.dumps({**known, **sheet}, indent=2, sort_keys=True) + "\n")
