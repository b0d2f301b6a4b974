"""An edge as the feed sees one: lines on a socket, what was told, and what it holds of it.

Place:  tests/feed -> [feed_edge] -> the hub's feed.sock
Rule:   speaks the protocol of contracts.md, section 7, and applies what it is told as an edge does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any


class Edge:
    def __init__(self, name: str = "edge") -> None:
        self.name = name
        self.told: dict[str, dict[str, Any]] = {}
        self.seen: dict[str, set[str]] = {}
        """Every tag that was told, by source."""
        self.flushes: dict[str, int] = {}
        self.barriers: list[dict[str, Any]] = []
        self.applies = True
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.barrier_came = asyncio.Event()

    async def connect(self, path: Path) -> dict[str, Any]:
        self._reader, self._writer = await asyncio.open_unix_connection(str(path), limit=1 << 24)
        self._task = asyncio.create_task(self._listen())
        return await self.ask("hello", edge=self.name, schema=1)

    def send(self, verb: str, **fields: Any) -> asyncio.Future[dict[str, Any]]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        self.write({"id": number, "verb": verb, **fields})
        return self._answers[number]

    async def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        return await self.send(verb, **fields)

    def write(self, message: Any) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def pull(self, *sources: str) -> dict[str, Any]:
        """Ask for these sources from where this edge is, and apply the answer."""
        answer = await self.ask("pull", sources={name: self.position(name) for name in sources})
        for name, told in answer["sources"].items():
            self.apply(name, told)
        everything: dict[str, Any] = answer["sources"]
        return everything

    async def barrier(self) -> dict[str, Any]:
        """Ask for a barrier from where this edge is, and apply the answer."""
        answer = await self.ask(
            "barrier", sources={name: self.position(name) for name in self.told}
        )
        for name, told in answer["sources"].items():
            self.apply(name, told)
        sources: dict[str, Any] = answer["sources"]
        return sources

    def position(self, name: str) -> dict[str, Any]:
        told = self.told.get(name)
        return {key: told[key] if told else None for key in ("epoch", "cursor")}

    def apply(self, name: str, told: dict[str, Any]) -> None:
        if "error" in told:
            return
        before = self.told.get(name)
        if before is not None and told["at"] <= before["at"]:
            return
        self.told[name] = told
        self.seen.setdefault(name, set()).update(told["tags"])
        self.flushes[name] = self.flushes.get(name, 0) + told["flush"]

    async def close(self) -> None:
        assert self._writer is not None and self._task is not None
        self._writer.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def ended(self) -> None:
        """Return once the hub has ended the connection."""
        assert self._task is not None
        await self._task

    async def _listen(self) -> None:
        assert self._reader is not None
        while line := await self._reader.readline():
            message = json.loads(line)
            if message.get("event") == "barrier":
                self.barriers.append(message)
                self.barrier_came.set()
                for name, told in message["sources"].items():
                    self.apply(name, told)
                if self.applies:
                    self.write({"verb": "applied", "barrier": message["barrier"]})
            elif "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            else:
                self.barriers.append(message)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.cancel()
