"""The message that stands for a task in a queue.

Place:  tasks.sending, ledger.extension, runner -> [tasks.messages]
Rule:   pure; it carries no arguments, since the ledger has them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mergepoint.bus.contract import Put
from mergepoint.tasks.contract import Release, message_id
from mergepoint.tasks.spec import DELIVERIES_MAX, QUEUE_PREFIX
from mergepoint.wire.envelope import Message

INBOX = "mp.tasks.inbox"
"""Where an outbox puts what is to be recorded, for a runner or the hub to take it over."""
MIDDLE = 4
"""The priority of a task that names none."""
_URGENT, _IDLE = "mp.tasks.urgent.", "mp.tasks.idle."
INBOX_TYPE = "application/vnd.mergepoint.task+json"


def queue_of(queue: str) -> str:
    """Return the name of the engine's queue for a queue of tasks."""
    return QUEUE_PREFIX + queue


def carriers_of(queue: str, *, ranked: bool) -> tuple[str, ...]:
    """Return the engine's queues for a queue of tasks, the most urgent first.

    One where the engine itself knows priorities (`ranked`), else three.
    """
    return (queue_of(queue),) if ranked else (_URGENT + queue, queue_of(queue), _IDLE + queue)


def carrier_of(queue: str, priority: int, *, ranked: bool) -> str:
    """Return the engine's queue for a task of this priority."""
    if ranked or priority == MIDDLE:
        return queue_of(queue)
    return (_URGENT if priority > MIDDLE else _IDLE) + queue


def put_of(release: Release, source: str, now: float) -> Put:
    """Return what is put for a release."""
    message = Message(
        id=message_id(release.id, release.generation),
        source=source or "tasks",
        type=queue_of(release.queue),
        subject=release.name,
        time=datetime.fromtimestamp(now, UTC).isoformat(),
        datacontenttype="",
        extensions=release.context,
    )
    # Expiry is the ledger's: an engine would bury the message where nobody looks for a task.
    return Put(message=message, priority=release.priority, attempts_max=DELIVERIES_MAX)
