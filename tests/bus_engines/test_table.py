"""The table of engines in the docs is what the engines say of themselves, open on their servers.

`REGOLD=1` writes docs/reference/engines.md anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.nats import running_nats
from mergepoint_testkit.postgres import running_postgres
from mergepoint_testkit.prosody import running_prosody
from mergepoint_testkit.rabbitmq import running_rabbitmq
from mergepoint_testkit.redis import running_redis

from mergepoint.assembly.engines import engine_of
from mergepoint.bus.capabilities import WHO_CAN, Capabilities, Durability, Watching, has
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/engines.md"
HEAD = """# Engines of the bus: what each can do

Written from what the engines say of themselves once they are connected to a real server, and
checked by `make test`. What an engine lacks is refused when it is declared, with the engines that
can.
**durability**: `durable` survives a power cut, `interval` loses what was accepted within the
server's last interval, `memory` survives other processes, `lossy` nothing. **lease** and
**presence**: how a dead process is noticed: by its `connection` (at once), by a `heartbeat`
(within two), or not (`none`: the lease ends).

"""
FOOT = """
The servers are as their packages configure them, RabbitMQ 3.10 with quorum queues, Redis 7.0 with
`appendfsync always`, NATS 2.9 with JetStream, PostgreSQL 15, Prosody 0.12. Delays, priorities,
uniqueness and results of **tasks** work on every engine with queues: the ledger keeps them.
"""
ROWS: tuple[tuple[str, Callable[[Capabilities], str]], ...] = (
    ("live topics", lambda c: str(c.topics)),
    ("queues", lambda c: str(c.queues or "no")),
    *(
        (name.replace("_", " "), lambda c, name=name: "yes" if getattr(c, name) else "no")
        for name in (
            "bind", "last", "delay", "priority", "key_order", "dedupe", "dead_letters", "browse",
            "request",
        )
    ),
    ("presence", lambda c: str(c.presence)),
    ("lease", lambda c: str(c.lease) if c.queues else "-"),
    ("message bytes max", lambda c: str(c.message_bytes_max)),
)  # fmt: skip


@contextlib.contextmanager
def hub(directory: Path) -> Iterator[str]:
    socket = directory / "hub.sock"
    told = f'{{"state_dir": "{directory}", "socket": "{socket}"}}'
    process = subprocess.Popen(
        [sys.executable, "-m", "mergepoint.bus.hub"], env={**os.environ, "MERGEPOINT_HUB": told}
    )
    try:
        while not socket.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield f"hub+unix://{socket}"
    finally:
        process.terminate()
        process.wait()


async def said(url: str) -> Capabilities:
    engine = engine_of(url, Limits(), SystemClock(), address="table/0")
    await engine.open(lambda state, reason: None)
    try:
        return engine.capabilities
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Capabilities]:
    """What every engine says, by its name."""
    directory = tmp_path_factory.mktemp("hub")
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        redis = enter(running_redis({"appendonly": "yes", "appendfsync": "always"}))
        urls = [
            enter(hub(directory)),
            "memory:",
            enter(running_postgres()).create("engines"),
            enter(running_rabbitmq()).url(),
            redis.url(),
            enter(running_nats()).url(),
            f"zmq+ipc://{directory}/zmq",
            enter(running_prosody()).url(),
        ]
        found = [asyncio.run(said(url)) for url in urls]
    return {capabilities.engine: capabilities for capabilities in found}


def table(told: dict[str, Capabilities]) -> str:
    lines = [["", *told], ["---"] * (len(told) + 1)]
    lines += [[name, *(cell(c) for c in told.values())] for name, cell in ROWS]
    return HEAD + "".join("| " + " | ".join(line) + " |\n" for line in lines) + FOOT


@pytest.mark.real
def test_the_page_is_what_the_engines_say(told: dict[str, Capabilities]) -> None:
    if os.environ.get("REGOLD"):
        PAGE.write_text(table(told))
    assert PAGE.read_text() == table(told), "REGOLD=1 writes it anew"


@pytest.mark.real
@pytest.mark.parametrize("ability", sorted(WHO_CAN))
def test_who_is_proposed_can_and_who_can_is_proposed(
    told: dict[str, Capabilities], ability: str
) -> None:
    able = {name for name, c in told.items() if has(c, ability)} - {"memory"}
    proposed = set(WHO_CAN[ability].replace(",", " ").replace(" or ", " ").split())
    assert proposed == able


@pytest.mark.real
def test_eight_engines_of_every_class_are_told(told: dict[str, Capabilities]) -> None:
    assert len(told) == 8
    assert {c.queues for c in told.values()} >= {None, Durability.DURABLE}
    assert {c.lease for c in told.values()} >= {Watching.CONNECTION, Watching.HEARTBEAT}
