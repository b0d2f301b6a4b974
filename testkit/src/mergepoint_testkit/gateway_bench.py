"""A gateway as a site runs it, beside an engine in memory.

Place:  tests/bus_site -> [gateway_bench] -> mergepoint.bus.gateway
Rule:   a real gateway, real sockets; the only thing made up is the snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h11

from mergepoint.assembly.deliveries import Tokens
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.contract import Limits
from mergepoint.bus.gateway.run import Gateway
from mergepoint.bus.gateway.settings import Delivery, Door, GatewaySettings
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message
from mergepoint_testkit.posted import WAIT_S, Worker, until, worker, write_snapshot

TOKENS = Tokens.from_secret(b"s" * 32)
DELIVERY = Delivery(
    queue="mp.to.wiki.tickets", on="tickets.*", app="wiki", post="/wiki/hooks", attempts_max=3,
    timeout_s=5.0, backoff_s=0.01, backoff_s_max=0.05, concurrency=2,
    headers={"host": "wiki.example.org", "x-forwarded-prefix": "/wiki"},
)  # fmt: skip


class Bench:
    """A gateway that runs, its engine and its files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.snapshot = directory / "snapshot.json"
        self.door = directory / "bus-http.sock"
        self.url = f"memory:{name}"
        self.engine = self.new_engine()

    def new_engine(self) -> MemoryEngine:
        limits = Limits(attempts_max=20, message_bytes_max=1000)
        return MemoryEngine(self.url, limits, SystemClock(), address="test/0")

    def settings(self, *deliveries: Delivery, **more: Any) -> GatewaySettings:
        return GatewaySettings(
            site="acme", snapshot=self.snapshot, state_file=self.directory / "subscriptions.json",
            doors=(Door(path=self.door),), token_key=TOKENS.key, message_bytes_max=1000,
            deliveries=deliveries, **more,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def gateway(self, *deliveries: Delivery, **more: Any) -> AsyncIterator[None]:
        engine, stop, ready = self.new_engine(), asyncio.Event(), asyncio.Event()
        await engine.open(lambda *_: None)
        running = asyncio.ensure_future(
            Gateway(self.settings(*deliveries, **more), engine, SystemClock()).run(ready.set, stop)
        )
        await ready.wait()
        if deliveries:
            file = self.directory / "subscriptions.json"
            wanted = {one.queue: one.on for one in deliveries}
            await until(lambda: file.exists() and json.loads(file.read_text()) == wanted, "bound")
        try:
            yield
        finally:
            stop.set()
            await running
            await engine.close()

    async def publish(self, text: str = "{}", topic: str = "tickets.created", **ext: str) -> None:
        message = Message(
            id=f"m-{text}", source="/tickets/0", type=topic, data=text.encode(),
            time="2026-01-01T00:00:00Z", extensions=ext,
        )  # fmt: skip
        await self.engine.publish(topic, message)

    async def ask(
        self, target: str, body: bytes = b"", *, method: str = "POST", app: str = "tickets",
        token: str | None = None, **headers: str,
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        proof = TOKENS.of(app) if token is None else token
        fields = {
            "host": "bus",
            "content-length": str(len(body)),
            "authorization": f"Bearer {proof}".strip(),
        }
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = h11.Connection(h11.CLIENT)
        reader, writer = await asyncio.open_unix_connection(str(self.door))
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        for part in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(part) or b"")
        status, answer = 0, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += bytes(event.data)
        writer.close()
        return status, json.loads(answer)

    async def dead(self) -> list[str]:
        return [entry.reason for entry in await self.engine.dead(DELIVERY.queue)]

    async def waiting(self) -> int:
        stats = {s.name: s for s in await self.engine.queues()}
        found = stats.get(DELIVERY.queue)
        return 0 if found is None else found.ready + (found.delayed or 0) + (found.leased or 0)

    async def settled(self) -> None:
        """Return once nothing waits for the app any more."""
        async with asyncio.timeout(WAIT_S):
            while await self.waiting():  # noqa: ASYNC110 - the engine tells nobody
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def subscribed(
    bench: Bench, delivery: Delivery = DELIVERY, **more: Any
) -> AsyncIterator[Worker]:
    """A gateway with one subscription whose app has one worker."""
    async with worker(bench.directory / "wiki.sock") as wiki:
        write_snapshot(bench.snapshot, {"wiki": [wiki.address]}, **more.pop("snapshot", {}))
        await bench.engine.open(lambda *_: None)
        async with bench.gateway(delivery, **more):
            yield wiki
        await bench.engine.close()
