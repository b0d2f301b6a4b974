"""A hub with an extension of the tests' own: `notes` keeps texts beside the queues."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mergepoint.bus.contract import Put
from mergepoint.bus.errors import BusRefused
from mergepoint.bus.hub.__main__ import settings_from
from mergepoint.bus.hub.extension import Reply, Transaction
from mergepoint.bus.hub.serving import serve
from mergepoint.wire.envelope import Message


class Notes:
    """`notes.add` keeps a text once, `notes.all` lists them, the rest goes wrong in its own way."""

    def prepare(self, db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS notes_texts (text TEXT PRIMARY KEY, due REAL)")

    def call(
        self, op: str, head: Mapping[str, Any], parts: Sequence[bytes], tx: Transaction
    ) -> Reply:
        if op == "add":
            tx.db.execute("INSERT INTO notes_texts VALUES (?, NULL)", (head["text"],))
            return Reply({"kept": head["text"]}, [part.upper() for part in parts])
        if op == "later":
            due = tx.unix_s + head["delay_s"]
            tx.db.execute("INSERT INTO notes_texts VALUES (?, ?)", (head["text"], due))
            return Reply()
        if op == "refuse":
            tx.db.execute("INSERT INTO notes_texts VALUES ('half', NULL)")
            raise BusRefused("not today")
        if op == "crash":
            tx.db.execute("INSERT INTO notes_texts VALUES ('half', NULL)")
            raise KeyError("a fault")
        if op == "put":
            tx.put("mail", [Put(message=_message(head["text"]))])
            tx.publish("told", _message(head["text"]))
            return Reply()
        if op == "lease":
            lease = tx.lease(head["token"])
            return Reply(None if lease is None else [lease.message.id, lease.attempt])
        return Reply([text for (text,) in tx.db.execute("SELECT text FROM notes_texts ORDER BY 1")])

    def grows(self, op: str) -> bool:
        return op != "all"

    def due_s(self, tx: Transaction) -> float | None:
        (due,) = tx.db.execute("SELECT min(due) FROM notes_texts").fetchone()
        return None if due is None else max(0.0, due - tx.unix_s)

    def tick(self, tx: Transaction) -> None:
        rows = tx.db.execute("SELECT text FROM notes_texts WHERE due <= ?", (tx.unix_s,)).fetchall()
        for (text,) in rows:
            tx.db.execute("UPDATE notes_texts SET due = NULL WHERE text = ?", (text,))
            tx.put("mail", [Put(message=_message(text))])

    def checked(self, db: sqlite3.Connection) -> list[str]:
        (bad,) = db.execute("SELECT count(*) FROM notes_texts WHERE text = 'bad'").fetchone()
        return ["a bad note"] * bad


def _message(text: str) -> Message:
    return Message(id=text, source="notes", type="mail", data=text.encode())


if __name__ == "__main__":
    ready = int(os.environ["MERGEPOINT_READY_FD"])
    sys.exit(serve(settings_from((), os.environ), {"notes": Notes()}, ready_fd=ready))
