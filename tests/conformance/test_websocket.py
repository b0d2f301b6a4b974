"""WebSocket through the tunnel by a suite others wrote: the Autobahn cases, run by kosoku.

Place:  kosoku -> edge -> an echo server on a Unix socket
Rule:   the tunnel must be as good as no tunnel: the same cases pass with and without it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mergepoint_testkit import corpora
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.peers import free_port
from mergepoint_testkit.services import require
from mergepoint_testkit.snapshots import pool, site
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.asyncio.server import serve as websocket_serve

ROOT = Path(__file__).resolve().parents[2]
SUITE_S_MAX = 180
LEFT_OUT = ("9.*", "12.*", "13.*")
"""Throughput and compression cases: the tunnel does not look into frames."""


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo server reachable both ways."""

    path: Path
    port: int


@pytest.fixture
def echo(short_directory: Path) -> Iterator[Echo]:
    """Serve WebSocket echo on a Unix socket and on a port."""
    found = Echo(short_directory / "echo.sock", free_port())
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # broken frames are the subject

    async def back(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def serve() -> None:
        options = {"compression": None, "max_size": None, "ping_interval": None}
        async with (
            unix_serve(back, str(found.path), **options),
            websocket_serve(back, "127.0.0.1", found.port, **options),
        ):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(5)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join(5)


def test_the_tunnel_behaves_as_if_it_were_not_there(
    short_directory: Path, echo: Echo, tmp_path: Path, scores: dict[str, object]
) -> None:
    with require("kosoku", corpora.CorpusUnavailable):
        kosoku = corpora.python_tool(
            ROOT / ".tools", "kosoku", ROOT / "requirements" / "kosoku.txt", "kosoku"
        )
    folder = short_directory / "tunnel"
    folder.mkdir()
    with EdgeProcess(folder) as edge:
        edge.start(site({"app": pool(f"unix:{echo.path}")}))
        tunnelled = verdicts(kosoku, edge.port(), tmp_path / "tunnelled")
    direct = verdicts(kosoku, echo.port, tmp_path / "direct")

    counts = Counter(tunnelled.values())
    scores["autobahn cases (kosoku)"] = {
        "tunnelled": dict(counts),
        "worse than without the tunnel": [c for c in tunnelled if tunnelled[c] != direct[c]],
    }
    assert len(tunnelled) > 200
    assert tunnelled == direct


def verdicts(kosoku: Path, port: int, folder: Path) -> dict[str, str]:
    """Run the suite against a port and return each case's verdict."""
    argv = [str(kosoku), "-m", "fuzzingclient", "-p", "4", "-o", str(folder)]
    argv += [word for case in LEFT_OUT for word in ("-x", case)]
    argv += [f"ws://127.0.0.1:{port}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SUITE_S_MAX, check=False)
    for path in folder.rglob("index.json"):
        agents = json.loads(path.read_text())
        return {name: case["behavior"] for a in agents.values() for name, case in a.items()}
    raise AssertionError(f"no report; kosoku said: {done.stdout[-2000:]}")
