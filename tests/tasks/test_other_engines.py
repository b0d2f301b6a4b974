"""A runner on an engine that is not the ledger, and lacks delays, keys and priorities."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.capabilities import Capabilities
from mergepoint.bus.codec import Codec
from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.ledger.local import LocalLedger
from mergepoint.tasks.messages import INBOX
from mergepoint.tasks.runner.config import read
from mergepoint.tasks.runner.log import Log
from mergepoint.tasks.runner.service import Runner
from mergepoint.tasks.sending import inbox_put, put_releases
from mergepoint.tasks.spec import Backoff, Options, Spec
from tests.tasks.sites import PATIENCE_S, ROOT

CLOCK = SystemClock()


class PlainEngine(MemoryEngine):
    """Queues, and nothing that Redis or NATS lack; what it must not be asked for, it refuses."""

    @property
    def capabilities(self) -> Capabilities:
        able = super().capabilities
        return replace(able, delay=False, priority=False, key_order=False, dedupe=False)

    async def put(self, queue: str, puts: Sequence[Put]) -> Any:
        assert not any(each.not_before or each.key for each in puts)
        return await super().put(queue, [replace(each, priority=4) for each in puts])


class Place:
    """One runner in this process, its children beside it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        told = {"module": "tests.tasks.jobs", "directory": str(ROOT), **config}
        monkeypatch.setenv("MERGEPOINT_TASKS", json.dumps(told))
        monkeypatch.setenv("MERGEPOINT_BUS", json.dumps({"url": "memory:"}))
        monkeypatch.setenv("MP_TEST_DIR", str(directory))
        monkeypatch.chdir(ROOT)
        self.directory = directory
        self.engine = PlainEngine(f"memory:{directory.name}", Limits(), CLOCK, address="r/0")
        self.ledger = LocalLedger(str(directory / "ledger.db"), CLOCK)
        self.log = (directory / "log").open("w")
        settings = read({"MERGEPOINT_TASKS": json.dumps(told)})
        self.runner = Runner(
            engine=self.engine, ledger=self.ledger, config=settings,
            clock=CLOCK, log=Log(CLOCK, "r/0", self.log), address="r/0",
            codec=Codec("json", {}, CLOCK),
            argv=[sys.executable, "-m", "mergepoint.tasks.runner"],
        )  # fmt: skip

    def spec(self, name: str, *args: Any, **fields: Any) -> Spec:
        payload = json.dumps({"args": args}).encode()
        return Spec(id=new_id(CLOCK.unix_s()), name=name, payload=payload, **fields)

    async def send(self, *specs: Spec) -> list[str]:
        made = await self.ledger.enqueue(specs)
        await put_releases(self.engine, self.ledger, made.releases, "t", CLOCK.unix_s())
        return [spec.id for spec in specs]

    async def ended(self, task: str) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                record = await self.ledger.record(task)
                if record is not None and record.state.value in ("completed", "dead"):
                    return f"{record.state} {record.result.decode()}"
                await asyncio.sleep(0.01)

    async def running(self, story: Any) -> None:
        await self.engine.open(lambda state, reason: None)
        work = asyncio.create_task(self.runner.run())
        try:
            await story
            self.runner.stop()
        finally:
            self.runner.stop()
            await work
            await self.engine.close()


def test_delays_retries_keys_and_outboxes_work_where_the_engine_knows_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch)

    async def story() -> None:
        later = place.spec("add", 1, 2, not_before=CLOCK.unix_s() + 0.3)
        lazy = place.spec("snooze_once", "lazy")
        retried = place.spec("marked", options=Options(backoff=Backoff(first_s=0.05)))
        keyed = [place.spec("keyed", "k", n, key="k", queue="keyed") for n in range(5)]
        mailed = place.spec("add", 5, 5)
        tasks = await place.send(later, lazy, retried, *keyed)
        await place.engine.put(INBOX, [inbox_put(mailed, "app/0"), inbox_put(mailed, "app/0")])
        ends = [await place.ended(task) for task in [*tasks, mailed.id]]

        assert ends[:3] == ["completed 3", 'completed "awake"', 'completed "sent"']
        assert ends[-1] == "completed 10"
        lines = (tmp_path / "key-k").read_text().splitlines()
        assert lines == [f"{what} {n}" for n in range(5) for what in ("start", "end")]

    asyncio.run(place.running(story()))


def test_urgent_tasks_overtake_where_the_engine_knows_no_priorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, monkeypatch, threads=1)

    async def story() -> None:
        await place.engine.open(lambda state, reason: None)
        specs = [
            place.spec("keyed", f"p{p}", n, queue="keyed", priority=p)
            for p in (0, 4, 9)
            for n in range(3)
        ]
        tasks = await place.send(*specs)
        work = asyncio.create_task(place.runner.run())
        ends = [await place.ended(task) for task in tasks]
        place.runner.stop()
        await work
        assert len(ends) == 9
        records = [await place.ledger.record(task) for task in tasks]
        started = sorted((r.started_at, -r.spec.priority) for r in records if r is not None)
        assert [rank for _, rank in started] == [-9] * 3 + [-4] * 3 + [0] * 3

    asyncio.run(story())
