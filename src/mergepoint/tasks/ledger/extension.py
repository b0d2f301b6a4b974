"""The ledger inside the hub: every operation in the hub's own transactions.

Place:  assembly registers [ledger.extension] with the hub as `ledger`
Rule:   where the hub is the queue too, what is released is put in the same transaction, so that
        a task is never recorded without being queued.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergepoint.bus.errors import BusRefused
from mergepoint.bus.hub.extension import Reply, Transaction
from mergepoint.tasks.contract import Finish, Release, Start
from mergepoint.tasks.errors import TaskError
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.tasks.ledger.operations import OPERATIONS, released
from mergepoint.tasks.ledger.releasing import due, next_at
from mergepoint.tasks.ledger.running import confirm, finish, start
from mergepoint.tasks.ledger.schema import prepare
from mergepoint.tasks.messages import put_of, queue_of

BEGIN, SETTLE = "begin", "settle"
"""`start` for what a `take` took, in its own transaction, and `finish` with the messages' end."""
_WITH_MESSAGES = frozenset((BEGIN, SETTLE))
TICK_TASKS_MAX = 200
IDLE_TICK_S = 60.0


class LedgerExtension:
    """`bus.hub.extension.Extension`: the records of tasks."""

    def __init__(self, site: str, *, is_queue: bool = True) -> None:
        self._source = f"{site}/ledger" if site else "ledger"
        self._is_queue = is_queue

    def prepare(self, db: sqlite3.Connection) -> None:
        """Make the tables."""
        prepare(db)

    def call(
        self,
        op: str,
        head: Mapping[str, Any],
        parts: Sequence[bytes],  # noqa: ARG002 - a document has everything in its head
        tx: Transaction,
    ) -> Reply:
        """Do one operation of `ledger.operations`; arguments stand in `head["a"]`."""
        if self._is_queue and op in _WITH_MESSAGES:
            return self._with_messages(op, head, tx)
        operation = OPERATIONS.get(op)
        if operation is None:
            raise BusRefused(f"the ledger has no operation {op!r}")
        try:
            arguments = operation.arguments(head.get("a") or {})
        except ValueError as error:
            raise BusRefused(f"ledger.{op}: {error}") from None
        try:
            answer, releases = operation.run(tx.db, tx.unix_s, arguments)
        except TaskError as error:
            # Frames carry the code; `ledger.hub` makes the same error of it again.
            return Reply({"error": error.code, "message": error.message, "next": error.next})
        if self._is_queue:
            self._put(tx, releases)
            releases = ()
        return Reply({"ok": to_plain(released(answer, releases)), "queue": self._is_queue})

    def grows(self, op: str) -> bool:
        """Tell whether the operation adds records."""
        return op in OPERATIONS and OPERATIONS[op].grows

    def due_s(self, tx: Transaction) -> float | None:
        """Return when something is due; with another engine runners ask for it themselves."""
        if not self._is_queue:
            return None
        at = next_at(tx.db)
        return min(max(0.0, at - tx.unix_s), IDLE_TICK_S) if at else None

    def tick(self, tx: Transaction) -> None:
        """Release what is due."""
        self._put(tx, due(tx.db, tx.unix_s, TICK_TASKS_MAX).releases)

    def checked(self, db: sqlite3.Connection) -> list[str]:
        """Return what is wrong with the tables."""
        lost = db.execute(
            "SELECT count(*) FROM ledger_links WHERE task NOT IN (SELECT id FROM ledger_tasks)"
        ).fetchone()[0]
        return [f"{lost} links of tasks that are not recorded"] if lost else []

    def _with_messages(self, op: str, head: Mapping[str, Any], tx: Transaction) -> Reply:
        """Do what a runner does to records and their messages alike, both at once."""
        try:
            if op == BEGIN:
                worker = str(head.get("worker", ""))
                starts = [
                    Start(message_id=message, token=token, worker=worker)
                    for message, token in head.get("leases", ())
                ]
                answers, releases = start(tx.db, tx.unix_s, starts)
                over = [s.token for s, a in zip(starts, answers, strict=True) if a.record is None]
                told = to_plain(answers)
            else:
                finishes = from_plain(tuple[Finish, ...], (head.get("a") or {}).get("finishes"))
                made = finish(tx.db, tx.unix_s, finishes)
                releases = list(made.releases)
                pairs = zip(finishes, made.settled, strict=True)
                over = [ended.token for ended, settled in pairs if not settled.lost]
                told = to_plain(replace(made, releases=()))
        except (ValueError, TypeError) as error:
            raise BusRefused(f"ledger.{op}: {error}") from None
        self._put(tx, releases)
        tx.ack(over)
        return Reply({"ok": told, "queue": True})

    def _put(self, tx: Transaction, releases: Sequence[Release]) -> None:
        by_queue: dict[str, list[Release]] = {}
        for release in releases:
            by_queue.setdefault(queue_of(release.queue), []).append(release)
        for queue, each in by_queue.items():
            tx.put(queue, [put_of(release, self._source, tx.unix_s) for release in each])
        confirm(tx.db, tx.unix_s, [(release.id, release.generation) for release in releases])
