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
INBOX_TYPE = "application/vnd.mergepoint.task+json"


def queue_of(queue: str) -> str:
    """Return the name of the engine's queue for a queue of tasks."""
    return QUEUE_PREFIX + queue


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
