"""Which subscriptions were bound to which patterns, so that one which is wanted no more ends.

Place:  bus.gateway.run -> [bus.gateway.bindings] -> <state_dir>/subscriptions.json
Rule:   written before the first binding is made; what waits in an ended subscription stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mergepoint.bus.contract import Engine
from mergepoint.bus.gateway.settings import Delivery


def known(file: Path) -> dict[str, str]:
    """Return the pattern of every queue bound by an earlier start; {} when nothing can be read."""
    try:
        document = json.loads(file.read_bytes())
        return {str(queue): str(pattern) for queue, pattern in document.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def ended(before: Mapping[str, str], now: Sequence[Delivery]) -> dict[str, str]:
    """Return the queues that nobody wants any more, with their patterns; pure."""
    wanted = {delivery.queue for delivery in now}
    return {queue: pattern for queue, pattern in before.items() if queue not in wanted}


async def bind_all(engine: Engine, file: Path, deliveries: Sequence[Delivery]) -> dict[str, str]:
    """Bind every subscription and end those that are gone, which are returned.

    Raises `BusError`; called again it goes on where it was.
    """
    gone = ended(known(file), deliveries)
    wanted = {delivery.queue: delivery.on for delivery in deliveries}
    _write(file, {**gone, **wanted})
    for queue, pattern in wanted.items():
        await engine.bind(queue, pattern)
    for queue, pattern in gone.items():
        await engine.unbind(queue, pattern)
    _write(file, wanted)
    return gone


def _write(file: Path, bound: Mapping[str, str]) -> None:
    if known(file) == dict(bound) and (bound or not file.exists()):
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(bound, indent=1, sort_keys=True))
    temporary.replace(file)
