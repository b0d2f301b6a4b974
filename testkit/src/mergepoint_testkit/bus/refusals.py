"""That an engine refuses what it lacks, in words that name engines that can.

Place:  bus.promise -> [bus.refusals] -> an engine
Rule:   refused before anything happened: with `NotCapable`, never with silence.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mergepoint.bus.contract import Engine, EntryState, Put
from mergepoint.bus.errors import NotCapable
from mergepoint.wire.envelope import Message
from mergepoint_testkit.bus.stand import LONG_S, Stand

Call = Callable[[Stand, Engine], Coroutine[Any, Any, object]]


async def _answer(message: Message) -> Message:
    return message


def _put(stand: Stand, engine: Engine, **how: Any) -> Coroutine[Any, Any, object]:
    return engine.put(stand.name("refused"), [Put(message=stand.message(), **how)])


CALLS: dict[str, tuple[Call, ...]] = {
    "queues": (
        _put,
        lambda stand, engine: engine.take(
            [stand.name("refused")], worker="w", limit=1, lease_s=LONG_S, wait_s=0
        ),
    ),
    "bind": (lambda stand, engine: engine.bind(stand.name("refused"), stand.name("x")),),
    "last": (
        lambda stand, engine: engine.last(stand.name("x")),
        lambda stand, engine: engine.publish(stand.name("x"), stand.message(), keep_last=True),
        lambda stand, engine: engine.subscribe(stand.name("x"), last=True),
    ),
    "delay": (lambda stand, engine: _put(stand, engine, not_before=stand.now + LONG_S),),
    "priority": (lambda stand, engine: _put(stand, engine, priority=9),),
    "key_order": (lambda stand, engine: _put(stand, engine, key="k"),),
    "dead_letters": (
        lambda stand, engine: engine.dead(stand.name("x")),
        lambda stand, engine: engine.replay(stand.name("x"), "1"),
        lambda stand, engine: engine.discard(stand.name("x"), ["1"]),
    ),
    "browse": (
        lambda stand, engine: engine.browse(stand.name("x"), states=[EntryState.READY]),
        lambda stand, engine: engine.drop(stand.name("x"), ["1"]),
    ),
    "request": (
        lambda stand, engine: engine.request(
            stand.address("x"), stand.message(), timeout_s=stand.source.patience_s
        ),
        lambda stand, engine: engine.serve(stand.address("x"), _answer),
    ),
    "presence": (
        lambda stand, engine: engine.join(stand.address("x"), {}),
        lambda stand, engine: engine.watch(stand.address("x")),
    ),
}
"""What to call for each capability. `dedupe` and `lease` are no calls: without them, repeats are
delivered and a dead worker's job waits for its lease."""


async def refuse(stand: Stand, engine: Engine, missing: str) -> None:
    """Fail unless every call that needs the missing capability is refused."""
    for call in CALLS.get(missing, ()):
        with pytest.raises(NotCapable) as caught:
            await stand.soon(call(stand, engine))
        assert engine.capabilities.engine in caught.value.message
        assert "(try " in caught.value.message, "name engines that can"
