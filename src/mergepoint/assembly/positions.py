"""Positions of the feed's handlers, in the hub's file and its transactions.

Place:  assembly.hub registers [assembly.positions] with the hub as `feed`
Rule:   one row for each handler; a step is one short statement.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from mergepoint.bus.errors import BusRefused
from mergepoint.bus.hub.extension import Reply, Transaction

HANDLERS_MAX = 10_000
NAME_CHARACTERS_MAX = 300
POSITION_BYTES_MAX = 256 * 1024


class PositionsExtension:
    """`bus.hub.extension.Extension`: `feed.take`, `feed.move` and `feed.release`."""

    def prepare(self, db: sqlite3.Connection) -> None:
        """Make the table."""
        db.execute(
            "CREATE TABLE IF NOT EXISTS feed_position (handler TEXT PRIMARY KEY, position TEXT,"
            " owner TEXT NOT NULL DEFAULT '', until_s REAL NOT NULL DEFAULT 0,"
            " failures INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
        )

    def call(
        self,
        op: str,
        head: Mapping[str, Any],
        parts: Sequence[bytes],  # noqa: ARG002 - a step has everything in its head
        tx: Transaction,
    ) -> Reply:
        """Do one step."""
        handler, owner = _text(head, "handler"), _text(head, "owner")
        if op == "take":
            return Reply(_take(tx, handler, owner, _seconds(head, "lease_s")))
        if op == "move":
            place = json.dumps(head.get("position"))
            if len(place) > POSITION_BYTES_MAX:
                raise BusRefused(f"a position of {len(place)} bytes; {POSITION_BYTES_MAX} at most")
            done = tx.db.execute(
                "UPDATE feed_position SET position = ?, until_s = ?"
                " WHERE handler = ? AND owner = ?",
                (place, tx.age_s + _seconds(head, "lease_s"), handler, owner),
            )
            return Reply({"mine": done.rowcount == 1})
        if op == "release":
            tx.db.execute(
                "UPDATE feed_position SET owner = '', until_s = ?, failures = ?"
                " WHERE handler = ? AND owner = ?",
                (
                    tx.age_s + _seconds(head, "pause_s"),
                    int(head.get("failures", 0)),
                    handler,
                    owner,
                ),
            )
            return Reply({})
        raise BusRefused(f"the feed has no operation {op!r}")

    def grows(self, op: str) -> bool:
        """Tell whether the operation adds a row."""
        return op == "take"

    def due_s(self, tx: Transaction) -> float | None:  # noqa: ARG002 - nothing is ever due
        """Return None: nothing happens by the clock."""
        return None

    def tick(self, tx: Transaction) -> None:
        """Do nothing."""

    def checked(self, db: sqlite3.Connection) -> list[str]:
        """Return positions that cannot be read."""
        bad = db.execute(
            "SELECT handler FROM feed_position WHERE position IS NOT NULL"
            " AND NOT json_valid(position)"
        )
        return [f"the position of {handler} is no JSON" for (handler,) in bad]


def _take(tx: Transaction, handler: str, owner: str, lease_s: float) -> dict[str, Any]:
    row = tx.db.execute(
        "SELECT position, owner, until_s, failures FROM feed_position WHERE handler = ?", (handler,)
    ).fetchone()
    if row is None:
        if tx.db.execute("SELECT count(*) FROM feed_position").fetchone()[0] >= HANDLERS_MAX:
            raise BusRefused(f"{HANDLERS_MAX} handlers follow the feed; no more are taken")
        tx.db.execute("INSERT INTO feed_position (handler) VALUES (?)", (handler,))
        row = (None, "", 0.0, 0)
    place, has, until_s, failures = row
    if until_s > tx.age_s and has != owner:
        return {"mine": False}
    tx.db.execute(
        "UPDATE feed_position SET owner = ?, until_s = ? WHERE handler = ?",
        (owner, tx.age_s + lease_s, handler),
    )
    return {"mine": True, "position": json.loads(place) if place else None, "failures": failures}


def _text(head: Mapping[str, Any], name: str) -> str:
    given = head.get(name)
    if not isinstance(given, str) or not 0 < len(given) <= NAME_CHARACTERS_MAX:
        raise BusRefused(f"{name} is a text of 1 to {NAME_CHARACTERS_MAX} characters")
    return given


def _seconds(head: Mapping[str, Any], name: str) -> float:
    given = head.get(name, 0.0)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 86_400:
        raise BusRefused(f"{name} is a number of seconds, 0 to 86400")
    return float(given)
