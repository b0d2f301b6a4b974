"""Fill a new database with the sample: ``python -m tracker.prepare``.

Place:  make demo -> [prepare] -> database
Rule:   a second run changes nothing; what people wrote is never touched.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tracker import counting
from tracker.changes import now
from tracker.database import Database
from tracker.models import Comment, Label, Ticket
from tracker.settings import Settings, secret_key

SAMPLE = Path(__file__).resolve().parents[1] / "sample.toml"


def prepare(settings: Settings) -> int:
    """Lay out the database and fill it if it holds no ticket; return how many were added."""
    secret_key(settings.data)
    database = Database(settings.database)
    database.create()
    with database.write() as db:
        if db.scalar(select(func.count(Ticket.id))):
            return 0
        added = _fill(db, tomllib.loads(SAMPLE.read_text("utf-8")))
        counting.count(db, now())  # the first night is still to come
    return added


def _fill(db: Session, sample: dict[str, Any]) -> int:
    labels = {raw["name"]: Label(**raw) for raw in sample["labels"]}
    db.add_all(labels.values())
    for raw in sample["tickets"]:
        ticket = _ticket(raw, [labels[name] for name in raw["labels"]])
        db.add(ticket)
        db.flush()  # numbers follow the order of the file
    return len(sample["tickets"])


def _ticket(raw: dict[str, Any], labels: list[Label]) -> Ticket:
    comments = [
        Comment(author=said["author"], body=said["body"], created_at=said["at"])
        for said in raw.get("comments", [])
    ]
    last: datetime = max([raw["at"], *(comment.created_at for comment in comments)])
    if raw.get("state") == "closed":
        by = raw.get("assignee") or "maintainer"
        comments.append(Comment(kind="event", author=by, body="closed this", created_at=last))
    return Ticket(
        title=raw["title"],
        body=raw["body"].strip(),
        author=raw["author"],
        assignee=raw.get("assignee", ""),
        state=raw.get("state", "open"),
        labels=labels,
        comments=comments,
        created_at=raw["at"],
        updated_at=last,
        version=1,
    )


if __name__ == "__main__":
    print(f"tickets: {prepare(Settings.from_environment())} added")
