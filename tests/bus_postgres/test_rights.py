"""The rights on the page of the engine are enough, and an app's are no more than enough."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import psycopg

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "postgresql.md"


def message(id_: str) -> Message:
    return Message(id=id_, source="s", type="t")


async def answer(asked: Message) -> Message:
    return asked


async def use(url: str, run: str) -> None:
    """Do one of everything."""
    engine = PostgresEngine(url, Limits(heartbeat_s=0.2), SystemClock())
    await engine.open(lambda *_: None)
    heard = await engine.subscribe("news")
    await engine.bind("bound", "news")
    await engine.publish("news", message("n"), keep_last=True)
    assert await anext(aiter(heard)) == message("n")
    await engine.put(
        "q", [Put(message=message(f"m{run}"), key="k"), Put(message=message(f"x{run}"))]
    )
    leases = await engine.take(["q"], worker="w", limit=2, lease_s=30, wait_s=5)
    assert await engine.extend(leases, 30) == []
    await engine.bury(leases[0], reason="bad")
    await engine.nack(leases[1])
    assert [entry.reason for entry in await engine.dead("q")] == ["bad"]
    await engine.replay("q", leases[0].message.id)
    assert await engine.drop("q", [f"m{run}", f"x{run}"]) == 2
    await engine.serve("app", answer)
    assert await engine.request("app", message("r"), timeout_s=5) == message("r")
    membership = await engine.join("app/0", {})
    watch = await engine.watch("app")
    assert (await anext(aiter(watch))).member.address == "app/0"
    await membership.leave()
    await asyncio.sleep(0.5)  # so that it beats, reaps and prunes with these rights
    assert [one.name for one in await engine.queues()] == ["bound", "q"]
    await engine.close()


def test_the_rights_of_a_role_of_the_bus_are_enough(database: Callable[[], str]) -> None:
    url = database()
    grants = re.findall(r"^GRANT .* TO site_bus;$", PAGE.read_text(), re.MULTILINE)
    assert len(grants) == 4
    asyncio.run(use(url, "1"))
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE ROLE site_bus LOGIN")
        for grant in grants:
            owner.execute(grant.encode())
    try:
        asyncio.run(use(url.replace("postgres@", "site_bus@", 1), "2"))
    finally:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("DROP OWNED BY site_bus")
            owner.execute("DROP ROLE site_bus")
