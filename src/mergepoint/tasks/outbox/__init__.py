"""Messages that exist if and only if the transaction they were sent in committed."""

from mergepoint.tasks.outbox.contract import Joined, OutboxMissing, OutboxRefused
from mergepoint.tasks.outbox.find import belong_to, join, through_table
from mergepoint.tasks.outbox.noted import apart
from mergepoint.tasks.outbox.rows import ddl
from mergepoint.tasks.outbox.watching import watch

__all__ = [
    "Joined",
    "OutboxMissing",
    "OutboxRefused",
    "apart",
    "belong_to",
    "ddl",
    "join",
    "through_table",
    "watch",
]
