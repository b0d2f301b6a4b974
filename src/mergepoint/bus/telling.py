"""What a process knows of itself, told to whoever asks: nothing is sent while nobody does.

Place:  bus.doorway, bus.gateway, tasks.runner -> [bus.telling] <- assembly.figures
Rule:   a question on one topic, an answer of every process on a topic of the asker's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mergepoint.bus.contract import Engine, Gap
from mergepoint.bus.errors import BusClosed, BusError
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import NameInvalid, check_name

QUESTION, ANSWERS = "mp.tell", "mp.told."
LOST_S = 1.0
"""Before subscribing is tried again."""
QUIET_S, WAIT_S_MAX = 0.3, 3.0
"""Everybody is thought to have answered after so long without an answer; and in any case."""
ANSWERS_MAX = 1000

Json = dict[str, Any]
Say = Callable[[], Awaitable[Json]]
"""Returns what is told; called on the engine's loop."""


async def answering(engine: Engine, address: str, clock: Clock, say: Say) -> None:
    """Answer for ever; ends when the engine is closed."""
    while True:
        try:
            questions = await engine.subscribe(QUESTION)
        except BusClosed:
            return
        except BusError:
            await clock.sleep(LOST_S)
            continue
        try:
            async for question in questions:
                to = "" if isinstance(question, Gap) else _asker(question)
                if to:
                    with contextlib.suppress(BusError):
                        answer = json.dumps({**await say(), "process": address}).encode()
                        await engine.publish(to, _message(address, to, answer, clock))
        finally:
            with contextlib.suppress(BusError):
                await questions.close()
        # The iteration ends with the engine; subscribing again says so.
        await clock.sleep(LOST_S)


async def ask(engine: Engine, asker: str, clock: Clock) -> list[Json]:
    """Return what every process tells that has the bus open, by its address.

    `asker` is one segment of a name that nobody else uses.
    """
    to = ANSWERS + asker
    answers = await engine.subscribe(to)
    found: list[Json] = []
    coming = aiter(answers)
    try:
        question = json.dumps({"to": to}).encode()
        await engine.publish(QUESTION, _message(asker, QUESTION, question, clock))
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(WAIT_S_MAX):
                while len(found) < ANSWERS_MAX:
                    async with asyncio.timeout(QUIET_S):
                        answer = await anext(coming)
                    if not isinstance(answer, Gap):
                        found += _read(answer)
    finally:
        await answers.close()
    return sorted(found, key=lambda told: str(told["process"]))


def _read(answer: Message) -> list[Json]:
    try:
        told = json.loads(answer.data)
    except ValueError:
        return []
    return [told] if isinstance(told, dict) and "process" in told else []


def _asker(question: Message) -> str:
    """Return where an answer is wanted; "" for what is no question."""
    try:
        told = json.loads(question.data)
        to = str(told["to"]) if isinstance(told, Mapping) else ""
        check_name(to)
    except (ValueError, KeyError, NameInvalid):
        return ""
    return to if to.startswith(ANSWERS) else ""


def _message(source: str, name: str, data: bytes, clock: Clock) -> Message:
    now = clock.unix_s()
    return Message(
        id=f"{source}-{now!r}", source=f"/{source}", type=name, data=data,
        datacontenttype="application/json",
    )  # fmt: skip
