"""What the task workers of an app declare, for whoever has no environment to import it in.

Place:  tasks.runner.errands -> [tasks.announcing] -> Engine; read by assembly.reach
Rule:   the present value of one topic for each app; the newest start of a worker wins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.bus.contract import Engine
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.spec import Options, Schedule
from mergepoint.wire.envelope import Message

PREFIX = "mp.tasks.declared."
CONTENT_TYPE = "application/vnd.mergepoint.declared+json"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A task as its decorator says; what enqueuing by name alone cannot know."""

    name: str = ""
    queue: str = "default"
    priority: int = 4
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What an app's task workers know."""

    app: str
    at: float = 0.0
    """Unix seconds."""
    worker: str = ""
    tasks: tuple[Declared, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    """Of the code and of the manifest, those that are in force."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Names of schedules that mean nothing, and why."""

    def task(self, name: str) -> Declared | None:
        """Return the task of this name; None when there is none."""
        return next((each for each in self.tasks if each.name == name), None)


def declared_by(hello: Mapping[str, Any]) -> tuple[Declared, ...]:
    """Return the tasks of what a child says of itself. Any: JSON."""
    return tuple(
        from_plain(Declared, {**told, "name": name}) for name, told in hello["tasks"].items()
    )


async def announce(engine: Engine, announcement: Announcement, source: str) -> bool:
    """Replace what was announced for this app; False where the engine keeps no present values."""
    if not engine.capabilities.last or not announcement.app:
        return False
    message = Message(
        id=new_id(announcement.at),
        source=source or "tasks",
        type=PREFIX + announcement.app,
        data=json.dumps(to_plain(announcement), separators=(",", ":")).encode(),
        datacontenttype=CONTENT_TYPE,
    )
    await engine.publish(PREFIX + announcement.app, message, keep_last=True)
    return True


async def announced(engine: Engine, app: str) -> Announcement | None:
    """Return what was announced last; None: nothing, or by a version that we cannot read."""
    if not engine.capabilities.last:
        return None
    message = await engine.last(PREFIX + app)
    if message is None:
        return None
    try:
        return from_plain(Announcement, json.loads(message.data))
    except ValueError:
        return None
